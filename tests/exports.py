"""Small exported files, each written once in a process; tests that share them run in one group."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import jaxtyping

from faster_rcnn.export.files import write_file
from faster_rcnn.structures import ClassMap, ImageSize
from faster_rcnn.weights.exported import ExportFacts
from faster_rcnn.weights.model_file import LoadedModel
from tiny import decided_model, tiny_config

SIZE = ImageSize(90, 130)
"""Images of files for one size."""

C4: dict[str, dict[str, Any]] = {
    "backbone": {"neck": "none", "levels": (3,)},
    "rpn": {"anchor_sizes": ((16.0, 32.0, 64.0),), "proposals_after_nms": 12, "anchor_rounding": False},
    "roi": {"pooling": "aligned-align", "pooled_side": 4, "head": "last_stage", "max_detections": 20},
}
"""Sections like those of the preset c4: the fewest operators, so that files are quickly written."""
PAPER: dict[str, dict[str, Any]] = {
    "backbone": {"neck": "none", "levels": (3,)},
    "rpn": {
        "anchor_sizes": ((16.0, 32.0, 64.0),),
        "proposals_after_nms": 12,
        "anchor_rounding": False,
        "anchor_offset": 0.5,
        "objectness": "softmax",
    },
    "roi": {"pooling": "pool", "pooled_side": 4, "nms_iou": 0.3, "max_detections": 20},
}
"""Sections like those of the preset paper."""


def small_detector(sections: dict[str, dict[str, Any]]) -> LoadedModel:
    """A detector of three classes whose scores differ widely."""
    return LoadedModel(decided_model(3, **sections), tiny_config(**sections), ClassMap(("a", "b", "c"), (1, 5, 9)))


@contextmanager
def unchecked() -> Iterator[None]:
    """Inside ``with``: shapes are not checked; the checks would make constants of symbolic shapes."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


@cache
def written(
    kind: str, *, size: ImageSize | None = None, nms: bool = True, prepares: bool = False, paper: bool = False
) -> Path:
    """A file of the detector like c4, or of the one like the paper, for any number of images."""
    endings = {"onnx": ".onnx", "openvino": ".xml", "pt2": ".pt2"}
    path = Path(mkdtemp(prefix="faster-rcnn-test-")) / f"model{endings[kind]}"
    with unchecked():
        write_file(small_detector(PAPER if paper else C4), ExportFacts(kind, None, size, nms, prepares), path)
    return path
