"""A detector as an auto-annotation function of CVAT, for ``cvat-cli`` and for CVAT's agents.

cvat-cli calls ``create`` of this module with the parameters of its command line, then ``detect`` for each image::

    cvat-cli task auto-annotate 137 --function-module faster_rcnn.integrations.cvat -p model=str:runs/cells
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol, runtime_checkable

from PIL import Image

from faster_rcnn.choices import Precision
from faster_rcnn.detector import Detector
from faster_rcnn.errors import MissingExtraError
from faster_rcnn.inference.limits import Conf


@runtime_checkable
class Context(Protocol):
    """What CVAT passes with an image; it has more fields, which a detector does not need."""

    @property
    def conf_threshold(self) -> float | None:
        """The lowest score that the user asks for; ``None`` where there is no such wish."""


class DetectionFunction:
    """Implements CVAT's protocol of detection functions: ``spec`` and ``detect``."""

    def __init__(
        self,
        detector: Detector,
        conf: Conf = 0.5,
        max_det: int | None = None,
        tile: int | None = None,
        overlap: float | None = None,
    ) -> None:
        """Keep the detector and its options, which are those of ``Detector.predict``.

        A threshold that CVAT passes wins over ``conf``.
        """
        self.detector, self.conf = detector, conf
        self.max_det, self.tile, self.overlap = max_det, tile, overlap

    @cached_property
    def spec(self) -> Any:
        """The labels: the detector's classes as rectangles. CVAT matches them with those of a task by their names."""
        names = self.detector.classes.names
        labels = [(name, label) for label, name in enumerate(names) if name is not None]
        cvataa = _package()
        return cvataa.DetectionFunctionSpec(
            labels=[cvataa.label_spec(name, label, type="rectangle") for name, label in labels]
        )

    def detect(self, context: Context, image: Image.Image) -> list[Any]:
        """The detections in one image as CVAT's rectangles."""
        conf = self.conf if context.conf_threshold is None else context.conf_threshold
        cvataa = _package()
        found = self.detector.predict(image, conf, self.max_det, self.tile, self.overlap)
        return [cvataa.rectangle(each.label, list(each.box)) for each in found]


def create(
    model: str,
    device: str = "auto",
    precision: Precision = "auto",
    conf: Conf = 0.5,
    max_det: int | None = None,
    tile: int | None = None,
    overlap: float | None = None,
) -> DetectionFunction:
    """Load a detector for CVAT; raises as ``Detector.load`` does.

    Args:
        model: model file, run folder, published name, or ``hf://owner/name``.
        device: auto, cpu, cuda or cuda:N.
        precision: as in ``Detector.load``.
        conf: lowest score where CVAT passes none, as in ``Detector.predict``; ``-p conf=str:auto`` on a command line.
        max_det: as in ``Detector.predict``.
        tile: as in ``Detector.predict``.
        overlap: as in ``Detector.predict``.
    """
    return DetectionFunction(Detector.load(model, device, precision), conf, max_det, tile, overlap)


def _package() -> Any:
    try:
        import cvat_sdk.auto_annotation as cvataa
    except ImportError as error:
        raise MissingExtraError("cvat-sdk") from error
    return cvataa
