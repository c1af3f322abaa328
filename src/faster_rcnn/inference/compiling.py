"""Body, neck and head of the first stage, compiled for the shapes that a stream of images keeps coming back to.

torch's compiler makes the weights constants and joins what lies between the convolutions to them. It takes half a
minute or so for every shape, and needs a C++ compiler: worth it for a folder or a video, not for one image.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Literal

import torch
from torch._dynamo.exc import TorchDynamoException
from torch._inductor.exc import InductorError

from faster_rcnn.errors import MachineError, OptionError
from faster_rcnn.inference.fusing import AnyModule, shallow
from faster_rcnn.inference.stage_times import timed
from faster_rcnn.model import FasterRCNN
from faster_rcnn.structures import ImageSize

Compile = bool | Literal["auto"]

Work = tuple[ImageSize, int]
"""What code is for: a padded shape of images, and a number of threads."""

AFTER = 300
"""Images of one shape in streams before ``auto`` compiles it: about as long as compiling takes, or longer."""
TRIES = 3
"""Of the compiled detector and of the other one, to see which is faster."""
MOST = 8
"""Shapes of images, for a number of threads, of one detector; torch compiles the same code no more often by itself."""
COMPILERS = ("g++", "clang++", "c++", "cl")


class Compiling:
    """Chooses between a detector for inference and its compiled form, image by image."""

    def __init__(
        self,
        network: FasterRCNN,
        plain: FasterRCNN,
        mode: Compile,
        device: torch.device,
        precision: torch.dtype,
        tell: Callable[[str], None],
    ) -> None:
        """``network`` looks at images; ``plain`` is the same one, without fused convolutions, for the compiler to fuse.

        What is compiled is used where it is faster. ``auto`` compiles nothing on a GPU, nothing in float32, and nothing
        without a C++ compiler. In float32 fused convolutions were as fast or faster wherever both were timed
        (``faster-rcnn benchmark base --compile``).

        Raises:
            OptionError: compilation was asked for on a GPU (E126).
            MachineError: compilation was asked for and there is no C++ compiler.
        """
        if mode is True and device.type != "cpu":
            raise OptionError(f"compile=True: only what is on a CPU is compiled, and this is on {device}", code="E126")
        if mode is True and found_compiler() is None:
            raise MachineError(_without_compiler("compile=True needs one"))
        self._network = network
        self._compiled: FasterRCNN | None = None
        self._always = mode is True
        self._possible = mode is True or (mode == "auto" and device.type == "cpu" and precision == torch.bfloat16)
        self._plain = plain if self._possible else network  # its weights are not held for nothing
        self._seen: Counter[Work] = Counter()
        self._done: set[Work] = set()
        self._tell = tell
        self._counting = Lock()
        self._busy = False
        """Whether something is being compiled."""

    def settled(self) -> Compiling:
        """This one where all is compiled at the first image; else one that compiles nothing."""
        if self._always:
            return self
        return Compiling(self._network, self._plain, False, torch.device("cpu"), torch.float32, self._tell)

    def network_for(self, shape: ImageSize, in_stream: bool) -> FasterRCNN:
        """What looks at an image of a padded ``shape``; one that would have to wait for the compiler does not.

        Code is for a number of threads, too: of a stream each image has half of them. Where two images at once have a
        new shape, one of them has it compiled, and the other one does not wait.
        """
        work = shape, torch.get_num_threads()
        if self._begins(work, in_stream):
            try:
                self._compile(work)
            finally:
                self._busy = False
        return self._compiled if self._compiled is not None and work in self._done else self._network

    def _begins(self, work: Work, in_stream: bool) -> bool:
        """Whether one more image is the one for which something is compiled."""
        with self._counting:
            self._seen[work] += in_stream
            wanted = self._always or (in_stream and self._seen[work] > AFTER)
            begins = self._possible and wanted and work not in self._done and not self._busy
            self._busy = self._busy or begins
        return begins

    def _compile(self, work: Work) -> None:
        """Add it to what is compiled, or say once why not."""
        shape, _ = work
        if found_compiler() is None:
            self._give_up(_without_compiler("images are looked at without it, which is slower"))
            return
        if len(self._done) == MOST:
            self._give_up(f"{MOST} shapes of images are compiled; others are looked at without, which is slower")
            return
        self._tell(f"compiling for images of {shape.width}x{shape.height}, once, which takes half a minute or so")
        try:
            compiled = self._compiled or compiled_form(self._network, self._plain)
            _dense_part(compiled, shape)
        except (TorchDynamoException, InductorError) as error:
            if self._always:
                raise MachineError(f"torch could not compile the detector: {_first_line(error)}") from error
            self._give_up(f"torch could not compile the detector, so it works without: {_first_line(error)}")
            return
        if not _is_faster(compiled, self._network, shape):
            self._give_up("the compiled detector is not faster on this machine, so images are looked at without")
            return
        self._compiled = compiled
        self._done.add(work)

    def _give_up(self, why: str) -> None:
        self._possible = False
        self._tell(why)


def compiled_form(network: FasterRCNN, plain: FasterRCNN) -> FasterRCNN:
    """The same detector; its body, neck and RPN are those of ``plain``, compiled at their first call of each shape."""
    form = shallow(network)
    form.backbone = shallow(network.backbone)
    form.backbone.body = _compiled(plain.backbone.body)
    if plain.backbone.pyramid is not None:
        form.backbone.pyramid = _compiled(plain.backbone.pyramid)
    if plain.rpn is not None:
        form.rpn = _compiled(plain.rpn)
    return form


def _dense_part(network: FasterRCNN, shape: ImageSize) -> None:
    """What is compiled, at work on an empty image."""
    features = network.backbone(torch.zeros(1, 3, *shape))
    if network.rpn is not None:
        network.rpn(features)


def _is_faster(compiled: FasterRCNN, network: FasterRCNN, shape: ImageSize) -> bool:
    """By the least of a few tries in turn."""
    device = torch.device("cpu")
    pairs = [
        (
            timed(partial(_dense_part, compiled, shape), device)[0],
            timed(partial(_dense_part, network, shape), device)[0],
        )
        for _ in range(TRIES)
    ]
    return min(ours for ours, _ in pairs) < min(other for _, other in pairs)


def found_compiler() -> str | None:
    """Name of the first C++ compiler that there is, where torch looks for one."""
    return next((name for name in (os.environ.get("CXX"), *COMPILERS) if name and shutil.which(name)), None)


def _without_compiler(consequence: str) -> str:
    return f"no C++ compiler (g++ or clang++) was found, so nothing is compiled: {consequence}. apt install g++"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _compiled(module: AnyModule) -> AnyModule:
    other = shallow(module)
    other.compile(dynamic=False, options={"freezing": True})
    return other
