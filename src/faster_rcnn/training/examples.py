"""Pictures of a split with the detections of a trained detector and with the annotated boxes."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from faster_rcnn.data.records import ImageRecord, Split, evenly_spread
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.result import Prediction
from faster_rcnn.reporting.drawing.boxes import draw_detections

SCORE = 0.5
"""Lowest score of a detection that is drawn."""
MAX_EXAMPLES = 8
LONG_SIDE = 1000
"""Pixels of a picture's longer side: sharp in half the width of a page, and small enough for eight in one file."""
MAX_ENLARGEMENT = 3.0
"""Small images are enlarged by at most this factor, so that their tags can be read."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A picture with boxes drawn into it, and the numbers of these boxes."""

    name: str
    """Name of the image's file in the data."""
    picture: Image.Image
    found: int
    truths: int


def find_examples(predictor: Predictor, split: Split) -> list[Example]:
    """Run the detector on some images of the split; an image that cannot be read is left out, as in training."""
    examples = []
    records = evenly_spread(split.records, MAX_EXAMPLES)
    for record, seen in zip(records, predictor.predict_each([each.path for each in records], SCORE), strict=True):
        if isinstance(seen, Prediction):
            examples.append(_example(record, seen, split))
    return examples


def _example(record: ImageRecord, seen: Prediction, split: Split) -> Example:
    scale = min(LONG_SIDE / max(record.size), MAX_ENLARGEMENT)
    picture = draw_detections(seen.pixels, seen.result.detections, split.classes, record.truth, scale)
    return Example(record.file_name, picture, len(seen.result), len(record.truth.boxes))
