"""Times an exported file as a whole: its runtime shows no stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from faster_rcnn.benchmark.picture import FILE_NAME, made_up_picture, own_size
from faster_rcnn.benchmark.timing import time_contenders
from faster_rcnn.benchmark.values import Amount, Spread
from faster_rcnn.inference.exported import ExportedNetwork
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import PreparedDetector


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
    with TemporaryDirectory() as folder:
        size = facts.size if facts.size is not None and facts.prepares else own_size(detector.config)
        paths = list(images) or [made_up_picture(Path(folder) / FILE_NAME, size)] * amount.images
        [ours] = time_contenders(Predictor(detector, batch=1), [], paths, amount.rounds)
    return ExportedTimes(model, facts.format, ours.precision, len(paths), ours.seconds)
