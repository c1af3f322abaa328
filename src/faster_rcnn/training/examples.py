"""Pictures of a split, with what a trained detector finds in them and what an annotator drew."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from faster_rcnn.data.records import ImageRecord, Split, evenly_spread
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.result import Prediction
from faster_rcnn.reporting.drawing.boxes import draw_detections

SCORE = 0.5
"""Lowest of the detections that are drawn."""
MOST_EXAMPLES = 8
LONG_SIDE = 1000
"""Pixels: sharp in half the width of a page, and small enough for eight of them in one file."""
MOST_ENLARGED = 3.0
"""Small images are enlarged up to this, so that their tags can be read."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A picture with boxes, and how many there are."""

    name: str
    """Of the image, as the data has it."""
    picture: Image.Image
    found: int
    truths: int


def find_examples(predictor: Predictor, split: Split) -> list[Example]:
    """Look at some images of the split; one that cannot be read is left out, as it was from training."""
    examples = []
    records = evenly_spread(split.records, MOST_EXAMPLES)
    for record, seen in zip(records, predictor.predict_each([each.path for each in records], SCORE), strict=True):
        if isinstance(seen, Prediction):
            examples.append(_example(record, seen, split))
    return examples


def _example(record: ImageRecord, seen: Prediction, split: Split) -> Example:
    scale = min(LONG_SIDE / max(record.size), MOST_ENLARGED)
    picture = draw_detections(seen.pixels, seen.result.detections, split.classes, record.truth, scale)
    return Example(record.file_name, picture, len(seen.result), len(record.truth.boxes))
