"""What an exported file holds beside its graph: settings, classes, and how the graph is to be called.

The metadata have one key ``faster_rcnn`` with the JSON of a model file's header, and ``export`` in it: the facts below.
For programs that do not know faster-rcnn, they have the same in plain words, see ``plain_metadata``.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faster_rcnn.errors import ModelFileError
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap, ImageSize
from faster_rcnn.weights.header import Header, header_text, parse_header
from faster_rcnn.weights.hub import is_on_hub
from faster_rcnn.weights.thresholds import Thresholds

MAX_BATCH = 64
"""Largest batch of a file that takes any number of images."""
ENDINGS = {".onnx": "onnx", ".xml": "openvino", ".pt2": "pt2"}
"""Endings of exported files, and the names of their formats."""


@dataclass(frozen=True, slots=True)
class ExportFacts:
    """How an exported graph is called, and what it computes."""

    format: str
    """One of ``ENDINGS``."""
    batch: int | None
    """Number of images of a call; ``None`` where any number fits."""
    size: ImageSize | None
    """Height and width of the images of a call; ``None`` where any size fits."""
    nms: bool
    """Whether the graph has the NMS of the second stage; otherwise its outputs are candidates."""
    prepares: bool
    """Whether the graph resizes, normalizes and pads images; otherwise that is done before."""
    precision: str = "float32"
    weights: str = ""
    """CRC-32 of the weights, by which a changed file is recognized."""

    def to_json(self) -> dict[str, Any]:
        """The facts as JSON can hold them."""
        return {
            "format": self.format,
            "batch": self.batch,
            "size": None if self.size is None else list(self.size),
            "nms": "in-graph" if self.nms else "none",
            "preprocess": "in-graph" if self.prepares else "none",
            "precision": self.precision,
            "weights": self.weights,
        }


@dataclass(frozen=True, slots=True)
class Exported:
    """The metadata of an exported file."""

    header: Header
    facts: ExportFacts


def is_exported(name: str | Path) -> bool:
    """Whether a name is that of an exported file; a folder of such a name is none, nor is an address of the hub."""
    return Path(name).suffix.lower() in ENDINGS and not is_on_hub(str(name)) and not os.path.isdir(name)


def metadata_text(config: Config, classes: ClassMap, facts: ExportFacts, thresholds: Thresholds | None = None) -> str:
    """The JSON of the key ``faster_rcnn``."""
    header = json.loads(header_text(config, classes, None, thresholds))
    del header["checksum"]  # that of a model file; the weights have one of their own
    return json.dumps({**header, "export": facts.to_json()}, sort_keys=True, separators=(",", ":"))


def parse_metadata(source: Path, text: str) -> Exported:
    """Read the JSON of the key ``faster_rcnn``; raises ``ModelFileError`` (E123) where it is damaged."""
    header = parse_header(source, text)
    try:
        given = json.loads(text)["export"]
        size = None if given["size"] is None else ImageSize(*map(int, given["size"]))
        batch = None if given["batch"] is None else int(given["batch"])
        nms, prepares = given["nms"] == "in-graph", given["preprocess"] == "in-graph"
        words = str(given["format"]), str(given["precision"]), str(given["weights"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"{source}: its metadata is damaged: {str(error)!r:.200}", code="E123") from error
    return Exported(header, ExportFacts(words[0], batch, size, nms, prepares, words[1], words[2]))


def plain_metadata(config: Config, classes: ClassMap, facts: ExportFacts) -> dict[str, str]:
    """Names, ids, preprocessing and thresholds for programs that do not know faster-rcnn, as JSON or a sentence."""
    image, roi = config.image, config.roi
    shape = f"short side {image.short_side}, long side at most {image.long_side}, {image.resize} bilinear resizing"
    numbers = f"(pixels / 255 - {list(image.mean)}) / {list(image.std)}"
    inside = "uint8 RGB; the graph resizes and normalizes" if facts.prepares else "float32 RGB; before the call"
    thresholds = {"score": roi.score_floor, "nms_iou": roi.nms_iou, "max_detections": roi.max_detections}
    return {
        "names": json.dumps({label: name for label, name in enumerate(classes.names) if name is not None}),
        "ids": json.dumps({label: classes.ids[label] for label, name in enumerate(classes.names) if name is not None}),
        "preprocessing": f"{inside}: {shape}, then {numbers}, zeros at the right and bottom",
        "precision": facts.precision,
        "thresholds": json.dumps(thresholds),
    }
