"""Body, neck and head of the first stage, compiled for the shapes of images that come, if a user asks for it.

torch's compiler makes the weights constants and joins what lies between the convolutions to them. It takes about half a
minute for every shape, and needs a C++ compiler: worth it for a folder or a video, not for one image. Nothing is
compiled by itself, and no timing decides whether a compiled model is used: the last bits of results would depend on
what else the machine does.
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

Workload = tuple[ImageSize, int]
"""What compiled code is specialized for: a padded shape of images, and a number of threads."""

MAX_SHAPES = 8
"""Workloads that are compiled for one detector; torch recompiles the same code no more often by default."""
COMPILERS = ("g++", "clang++", "c++", "cl")


class ShapeCompiler:
    """Chooses between a detector for inference and its compiled model, image by image.

    A workload has one of three states: new (not in ``_models``), compiled, or left uncompiled because ``MAX_SHAPES``
    others were compiled before it. It changes once, at its first image::

        new -> compiled      fewer than MAX_SHAPES are compiled
            -> uncompiled    otherwise
    """

    def __init__(self, network: FasterRCNN, plain: FasterRCNN, device: torch.device) -> None:
        """``network`` detects; ``plain`` is the same without fused convolutions, for the compiler to fuse.

        Raises:
            OptionError: the detector is on a GPU (E126).
            MachineError: there is no C++ compiler.
        """
        if device.type != "cpu":
            raise OptionError(f"compile=True: detectors are compiled on a CPU only, not on {device}", code="E126")
        if found_compiler() is None:
            raise MachineError(
                "compile=True needs a C++ compiler (g++ or clang++), and none was found: apt install g++, or leave "
                "compile out"
            )
        self._network = network
        self._plain = plain
        self._models: dict[Workload, FasterRCNN] = {}
        """The model of each workload that is not new: the compiled one, or ``network``."""
        self._lock = Lock()

    def model_for(self, shape: ImageSize) -> FasterRCNN:
        """The model that detects in an image of a padded ``shape``; it is compiled for one of the first shapes.

        Compiled code is specialized for a number of threads, too: in a stream each image has half of them. If a shape
        is being compiled for another image, the caller waits: otherwise the clock would decide which model computes.

        Raises ``MachineError`` where torch cannot compile it.
        """
        workload = shape, torch.get_num_threads()
        with self._lock:
            if workload not in self._models:
                self._models[workload] = self._model_for_new(shape)
            return self._models[workload]

    def _model_for_new(self, shape: ImageSize) -> FasterRCNN:
        """Compile for a new workload, or leave it uncompiled; the first one that is left uncompiled is logged."""
        compiled = [each for each in self._models.values() if each is not self._network]
        if len(compiled) < MAX_SHAPES:
            _LOG.info(f"compiling for images of {shape.width}x{shape.height}, once, which takes half a minute or so")
            return self._compile(compiled[0] if compiled else None, shape)
        if self._network not in self._models.values():
            _LOG.info(f"{MAX_SHAPES} shapes of images are compiled; others run uncompiled, which is slower")
        return self._network

    def _compile(self, model: FasterRCNN | None, shape: ImageSize) -> FasterRCNN:
        """Compile ``model``, or a new compiled model, for one more shape."""
        try:
            model = model or compiled_model(self._network, self._plain)
            _run_dense_part(model, shape)
        except (TorchDynamoException, InductorError) as error:
            raise MachineError(f"torch could not compile the detector: {_first_line(error)}") from error
        return model


def compiled_model(network: FasterRCNN, plain: FasterRCNN) -> FasterRCNN:
    """The same detector; body, neck and RPN head are those of ``plain``, compiled at their first call of each shape."""
    model = shallow_copy(network)
    model.backbone = shallow_copy(network.backbone)
    model.backbone.body = _compiled(plain.backbone.body)
    if plain.backbone.pyramid is not None:
        model.backbone.pyramid = _compiled(plain.backbone.pyramid)
    if plain.rpn is not None:
        model.rpn = shallow_copy(plain.rpn)
        model.rpn.head = _compiled(plain.rpn.head)
    return model


def _run_dense_part(model: FasterRCNN, shape: ImageSize) -> None:
    """Run body, neck and RPN head on an empty image, which compiles them for its shape."""
    images = ImageBatch(torch.zeros(1, 3, *shape), (shape,))
    until(model.stages(images), FEATURES if model.rpn is None else RPN_OUTPUT)


def found_compiler() -> str | None:
    """Name of the first C++ compiler that exists among those that torch tries, ``CXX`` first."""
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
