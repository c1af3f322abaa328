"""A detector as a program of ``torch.export``, from which every kind of file is made."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from faster_rcnn.acceleration.folding import prepare_for_inference
from faster_rcnn.errors import OptionError
from faster_rcnn.export.any_size import AnySizePreparation
from faster_rcnn.export.graph import DetectionGraph, PreparedInGraph, ResizedOutside
from faster_rcnn.export.padding import pad_alike
from faster_rcnn.export.preparation import FixedPreparation
from faster_rcnn.export.suppression import Selections
from faster_rcnn.inference.exported import smallest_side
from faster_rcnn.model import FasterRCNN
from faster_rcnn.structures import ImageSize
from faster_rcnn.system.logs import logged_from
from faster_rcnn.weights.exported import MAX_BATCH, ExportFacts
from faster_rcnn.weights.model_file import LoadedModel

EXAMPLE_BATCH = 2
"""Images of the example that a program of any number of images is traced with; 0 and 1 would become constants."""
MAX_SIDE = 32_768
"""Largest side of an image whose size is not fixed."""
MAX_CELLS = 1024
"""Largest side of images of any size, in multiples that they are padded to."""


def detection_module(loaded: LoadedModel, facts: ExportFacts, ways: Selections) -> nn.Module:
    """The module that a program is traced from; batch norm is folded into convolutions."""
    # ONNX and OpenVINO hold float32 in any case: a runtime rounds it, or what was measured afterwards.
    floats = torch.bfloat16 if (facts.format, facts.precision) == ("pt2", "bfloat16") else torch.float32
    folded = prepare_for_inference(loaded.model.eval(), floats, exact=False)
    pad_alike(folded)
    model = folded.to(memory_format=torch.contiguous_format)
    graph = DetectionGraph(model, ways, with_nms=facts.nms)
    if not facts.prepares:
        return ResizedOutside(graph).eval()
    if facts.size is None:
        return graph.eval()
    return PreparedInGraph(graph, FixedPreparation(loaded.model.preparation, facts.size)).eval()


def exported_program(loaded: LoadedModel, facts: ExportFacts, ways: Selections) -> ExportedProgram:
    """Trace a detector with images of the size of ``facts``.

    Raises ``OptionError`` for a size that images before the call cannot have, and for a detector that torch cannot
    trace, such as one whose body branches on the values of its features.
    """
    module = detection_module(loaded, facts, ways)
    inputs, shapes = _example(loaded.model, facts)
    with torch.no_grad(), quiet():
        try:
            return _without_paths(torch.export.export(module, inputs, dynamic_shapes=shapes))
        except (RuntimeError, ValueError, torch._dynamo.exc.TorchDynamoException) as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise OptionError(
                f"the detector's backbone.body '{loaded.config.backbone.body}' cannot be exported so: {reason:.200}; a "
                "fixed size and number of images ask less of it: --size HxW --batch 1"
            ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Inside ``with``: torch's exporter warns and logs nothing about itself."""
    loggers = "torch.onnx", "torch.export", "onnxscript", "onnx_ir"
    with warnings.catch_warnings(), logged_from(logging.ERROR, *loggers):
        warnings.simplefilter("ignore")
        yield


def _example(model: FasterRCNN, facts: ExportFacts) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
    """Inputs to trace with, and which of their sides may change."""
    batch = facts.batch or EXAMPLE_BATCH
    images: dict[int, Any] = {} if facts.batch else {0: Dim("batch", min=1, max=MAX_BATCH)}
    if facts.prepares and facts.size is not None:
        return (torch.zeros(batch, 3, *facts.size, dtype=torch.uint8),), {"images": images or None}
    multiple = model.preparation.multiple
    least = smallest_side(model) // multiple
    size = facts.size or ImageSize((least + 1) * multiple, (least + 2) * multiple)
    if facts.size is not None and (fitting := model.preparation.padded_size(size)) != size:
        raise OptionError(
            f"--size {size.height}x{size.width}: with --preprocess none images are resized and padded before the call, "
            f"to multiples of {multiple} pixels for this detector, such as {fitting.height}x{fitting.width}",
            code="E125",
        )
    if facts.size is None:
        _refuse_tiny_images(model)
        images |= {side: _cells(name, multiple, least) for side, name in ((2, "rows"), (3, "columns"))}
    pixels = torch.zeros(batch, 3, *size)
    if facts.prepares:
        return (pixels, torch.ones(1, 4), torch.ones(4)), {"pixels": images, "limits": None, "factors": None}
    sizes = None if facts.batch else {0: images[0]}
    return (pixels, torch.tensor([list(size)] * batch)), {"images": images or None, "sizes": sizes}


def _refuse_tiny_images(model: FasterRCNN) -> None:
    """Raise ``OptionError`` (E125) where a file for images of any size would not take those of the detector."""
    short, least = model.preparation.image.short_side, smallest_side(model)
    if min(model.preparation.padded_size(ImageSize(short, short))) < least:
        raise OptionError(
            f"--size dynamic: the detector resizes images to {short} pixels, and a file for images of any size takes "
            f"no side below {least}; give a size, such as --size 480x640",
            code="E125",
        )


def preparing_program(loaded: LoadedModel, facts: ExportFacts) -> ExportedProgram:
    """Trace the preparation of images of any size, whose outputs are the inputs of ``exported_program``."""
    module = AnySizePreparation(loaded.model.preparation).eval()
    shapes: dict[int, Any] = {2: Dim("height", min=2, max=MAX_SIDE), 3: Dim("width", min=2, max=MAX_SIDE)}
    if not facts.batch:
        shapes[0] = Dim("batch", min=1, max=MAX_BATCH)
    example = torch.zeros(facts.batch or EXAMPLE_BATCH, 3, 96, 160, dtype=torch.uint8)
    with torch.no_grad(), quiet():
        return _without_paths(torch.export.export(module, (example,), dynamic_shapes={"images": shapes}))


def _without_paths(program: ExportedProgram) -> ExportedProgram:
    """Forget which lines of which files made each operation: exported files would hold the paths of this machine."""
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program


def _cells(name: str, multiple: int, least: int) -> Any:
    count = Dim(name, min=least, max=MAX_CELLS if multiple > 1 else MAX_CELLS * 32)
    return count * multiple if multiple > 1 else count
