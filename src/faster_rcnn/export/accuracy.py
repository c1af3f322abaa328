"""AP of an exported file beside that of its detector in float32, on labelled images."""

from __future__ import annotations

from dataclasses import dataclass

from faster_rcnn.data.records import Split
from faster_rcnn.evaluation.detector import measure_detector
from faster_rcnn.inference.exported import ExportedDetector
from faster_rcnn.inference.loading import ready_detector
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.system.devices import precision_name
from faster_rcnn.weights.model_file import LoadedModel


@dataclass(frozen=True, slots=True)
class Accuracy:
    """AP of both on one split; ``None`` where the split has no objects."""

    split: str
    precision: str
    file: float | None
    detector: float | None

    def __str__(self) -> str:
        """One line for a user."""
        if self.file is None or self.detector is None:
            return f"there is nothing to find in {self.split}, so no AP"
        return (
            f"AP on {self.split} is {self.file:.4f} in {self.precision}, and {self.detector:.4f} for the detector in "
            "float32"
        )


def accuracy_of(loaded: LoadedModel, exported: ExportedDetector, split: Split, model: str) -> Accuracy:
    """Measure both on the images of a split; ``model`` is the detector's name in messages."""
    both = exported, ready_detector(loaded, "float32", "cpu")
    file, detector = (measure_detector(Predictor(each, batch=1), split, model).ap for each in both)
    return Accuracy(split.name, precision_name(exported.precision), file, detector)
