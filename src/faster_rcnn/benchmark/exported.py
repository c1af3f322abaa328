"""Times an exported file as a whole: its runtime shows no stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from faster_rcnn.benchmark.picture import FILE_NAME, made_up_picture, own_size
from faster_rcnn.benchmark.timing import MIN_SCORE, pixels_of
from faster_rcnn.benchmark.values import Amount, Spread
from faster_rcnn.inference.exported import ExportedNetwork
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import PreparedDetector
from faster_rcnn.system.devices import precision_name
from faster_rcnn.system.progress import counted
from faster_rcnn.system.timing import timed


@dataclass(frozen=True, slots=True)
class ExportedTimes:
    """Seconds from decoded pixels to boxes, of all images in all rounds."""

    model: str
    format: str
    precision: str
    images: int
    spread: Spread

    def table(self) -> str:
        """The times as text for a terminal."""
        return (
            f"{self.model}, {self.format} in {self.precision}, {self.images} images: {self.spread} per image, "
            f"{1 / self.spread.median:.1f} images per second"
        )

    def to_json(self) -> dict[str, Any]:
        """The object that ``benchmark --json`` writes."""
        names = {"model": self.model, "format": self.format, "precision": self.precision, "images": self.images}
        return names | {"latency": self.spread.to_json()}


def time_exported(model: str, detector: PreparedDetector, images: Sequence[Path], amount: Amount) -> ExportedTimes:
    """Time images, or without any a made-up picture of the size that the file takes; a first round is not counted."""
    assert isinstance(detector.network, ExportedNetwork)
    facts = detector.network.opened.exported.facts
    predictor = Predictor(detector, batch=1)
    with TemporaryDirectory() as folder:
        size = facts.size if facts.size is not None and facts.prepares else own_size(detector.config)
        paths = list(images) or [made_up_picture(Path(folder) / FILE_NAME, size)] * amount.images
        pixels = {path: pixels_of(predictor, path) for path in dict.fromkeys(paths)}
    for each in pixels.values():
        predictor.predict_one(each, MIN_SCORE)
    work = [path for _ in range(amount.rounds) for path in paths]
    seconds = [
        timed(partial(predictor.predict_one, pixels[path], MIN_SCORE), detector.device)[0]
        for path in counted(work, "images timed", len(work))
    ]
    return ExportedTimes(model, facts.format, precision_name(detector.precision), len(paths), Spread.of(seconds))
