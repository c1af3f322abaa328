"""Body, neck and head of the first stage, compiled for the shapes of images that come, where a user asks for it.

torch's compiler makes the weights constants and joins what lies between the convolutions to them. It takes half a
minute or so for every shape, and needs a C++ compiler: worth it for a folder or a video, not for one image. Nothing is
compiled by itself, and no stopwatch judges what is: the last bits of answers would depend on what else a machine does.
"""

from __future__ import annotations

import logging
import os
import shutil
from threading import Lock

import torch
from torch._dynamo.exc import TorchDynamoException
from torch._inductor.exc import InductorError

from faster_rcnn.acceleration.fusion import AnyModule, shallow_copy
from faster_rcnn.errors import MachineError, OptionError
from faster_rcnn.model import FasterRCNN
from faster_rcnn.stages import FEATURES, RPN_OUTPUT, until
from faster_rcnn.structures import ImageBatch, ImageSize

_LOG = logging.getLogger(__name__)

Work = tuple[ImageSize, int]
"""What code is for: a padded shape of images, and a number of threads."""

MAX_SHAPES = 8
"""Shapes of images, for a number of threads, of one detector; torch compiles the same code no more often by itself."""
COMPILERS = ("g++", "clang++", "c++", "cl")


class ShapeCompiler:
    """Chooses between a detector for inference and its compiled form, image by image."""

    def __init__(
        self,
        network: FasterRCNN,
        plain: FasterRCNN,
        device: torch.device,
    ) -> None:
        """``network`` detects; ``plain`` is the same one, without fused convolutions, for the compiler to fuse.

        Raises:
            OptionError: the detector is on a GPU (E126).
            MachineError: there is no C++ compiler.
        """
        if device.type != "cpu":
            raise OptionError(f"compile=True: only what is on a CPU is compiled, and this is on {device}", code="E126")
        if found_compiler() is None:
            raise MachineError(
                "compile=True needs a C++ compiler (g++ or clang++), and none was found: apt install g++, or leave "
                "compile out"
            )
        self._network = network
        self._plain = plain
        self._compiled: FasterRCNN | None = None
        self._done: set[Work] = set()
        self._full = False
        self._one_at_a_time = Lock()

    def model_for(self, shape: ImageSize) -> FasterRCNN:
        """The network that detects in an image of a padded ``shape``, which is compiled where it is one of the first.

        Code is for a number of threads, too: of a stream each image has half of them. Where it is being compiled for
        another image, this one waits.

        Raises ``MachineError`` where torch cannot compile it.
        """
        work = shape, torch.get_num_threads()
        with self._one_at_a_time:
            if work not in self._done and self._has_room():
                self._compile(work)
            return self._compiled if self._compiled is not None and work in self._done else self._network

    def _has_room(self) -> bool:
        """Whether one more shape may be compiled; the first shape that may not is logged."""
        if len(self._done) == MAX_SHAPES and not self._full:
            _LOG.info(f"{MAX_SHAPES} shapes of images are compiled; others are computed without, which is slower")
        self._full = len(self._done) == MAX_SHAPES
        return not self._full

    def _compile(self, work: Work) -> None:
        shape, _ = work
        _LOG.info(f"compiling for images of {shape.width}x{shape.height}, once, which takes half a minute or so")
        try:
            self._compiled = self._compiled or compiled_model(self._network, self._plain)
            _dense_part(self._compiled, shape)
        except (TorchDynamoException, InductorError) as error:
            raise MachineError(f"torch could not compile the detector: {_first_line(error)}") from error
        self._done.add(work)


def compiled_model(network: FasterRCNN, plain: FasterRCNN) -> FasterRCNN:
    """The same detector; its body, neck and RPN are those of ``plain``, compiled at their first call of each shape."""
    form = shallow_copy(network)
    form.backbone = shallow_copy(network.backbone)
    form.backbone.body = _compiled(plain.backbone.body)
    if plain.backbone.pyramid is not None:
        form.backbone.pyramid = _compiled(plain.backbone.pyramid)
    if plain.rpn is not None:
        form.rpn = shallow_copy(plain.rpn)
        form.rpn.head = _compiled(plain.rpn.head)
    return form


def _dense_part(network: FasterRCNN, shape: ImageSize) -> None:
    """Run the part that is compiled, body, neck and RPN head, on an empty image."""
    images = ImageBatch(torch.zeros(1, 3, *shape), (shape,))
    until(network.stages(images), FEATURES if network.rpn is None else RPN_OUTPUT)


def found_compiler() -> str | None:
    """Name of the first C++ compiler that there is, where torch looks for one."""
    return next((name for name in (os.environ.get("CXX"), *COMPILERS) if name and shutil.which(name)), None)


def compiler_text() -> str:
    """The C++ compiler that compiled inference uses, or that there is none."""
    found = found_compiler()
    return f"{found} (for compiled inference)" if found else "none (needed for compiled inference alone)"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _compiled(module: AnyModule) -> AnyModule:
    other = shallow_copy(module)
    other.compile(dynamic=False, options={"freezing": True})
    return other
