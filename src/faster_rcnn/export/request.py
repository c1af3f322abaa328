"""What is to be exported, checked before anything slow."""

from __future__ import annotations

import re
from pathlib import Path

from faster_rcnn.errors import OptionError
from faster_rcnn.images import vanishes
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ImageSize
from faster_rcnn.weights.exported import ENDINGS, MAX_BATCH, ExportFacts

ENDING_OF: dict[str, str] = {kind: ending for ending, kind in ENDINGS.items()}
DYNAMIC = "dynamic"


REFUSED = {
    ("onnx", "bfloat16"): "ONNX Runtime computes in no bfloat16 on a CPU; take --format openvino or pt2",
    ("onnx", "int8"): "only OpenVINO files are quantized; take --format openvino, or leave the option out",
    ("pt2", "int8"): "torch.export holds none of our int8 layers; take --format openvino or --precision bfloat16, or "
    "quantize the model file: faster-rcnn quantize",
}
"""Precisions that a format cannot hold, with the reason and what to take instead."""


def facts_of(kind: str, batch: str, size: str, nms: str, preprocess: str, precision: str = "float32") -> ExportFacts:
    """The facts of an export, from the options as a user gives them.

    Raises ``OptionError`` (E125) for a value that makes no sense, and for what a format cannot hold.
    """
    if (kind, precision) in REFUSED:
        raise OptionError(f"--precision {precision}: {REFUSED[kind, precision]}", code="E125")
    facts = ExportFacts(kind, _batch(batch), _size(size), nms == "in-graph", preprocess == "in-graph", precision)
    if facts.size is None and facts.prepares and kind != "onnx":
        raise OptionError(
            f"--size dynamic: a file of the format {kind} cannot hold the resizing of images of any size; give a size, "
            "such as --size 480x640, or prepare images before the call: --preprocess none",
            code="E125",
        )
    return facts


def refuse_vanishing(facts: ExportFacts, config: Config) -> None:
    """Raise ``OptionError`` (E125) for a size of images of which the detector's resizing leaves nothing."""
    sides = config.image.short_side, config.image.long_side
    if facts.size is not None and facts.prepares and vanishes(facts.size, *sides):
        raise OptionError(
            f"--size {facts.size.height}x{facts.size.width}: resizing leaves less than half a pixel of a side",
            code="E125",
        )


def format_of(given: str | None, out: Path) -> str:
    """The format that is named, or that of the file's ending; raises ``OptionError`` (E125) where both differ."""
    by_ending = ENDINGS.get(out.suffix.lower(), "torchvision")
    kind = given or by_ending
    if kind in ENDING_OF and by_ending != kind:
        raise OptionError(f"--out {out}: a file of the format {kind} ends in {ENDING_OF[kind]}", code="E125")
    return kind


def refuse_unexportable(model: str, config: Config) -> None:
    """Raise ``OptionError`` for a detector of one stage."""
    kind = config.detector.kind
    if kind == "faster-rcnn":
        return
    part = "its proposals come from outside the graph" if kind == "fast-rcnn" else "it has no second stage"
    raise OptionError(f"{model}: its detector.kind is {kind}: {part}, and only detectors of both stages are exported")


def _batch(text: str) -> int | None:
    if text == DYNAMIC:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_BATCH:
        raise OptionError(f"--batch {text}: give a number of images, 1 to {MAX_BATCH}, or {DYNAMIC}", code="E125")
    return int(text)


def _size(text: str) -> ImageSize | None:
    if text == DYNAMIC:
        return None
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if found is None:
        raise OptionError(f"--size {text}: give height and width in pixels, such as 480x640, or {DYNAMIC}", code="E125")
    return ImageSize(int(found[1]), int(found[2]))
