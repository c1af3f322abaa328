"""Detections as labels of a data set of FiftyOne.

>>> from faster_rcnn.integrations.fiftyone import apply_model  # doctest: +SKIP
>>> apply_model(dataset, Detector.load("runs/cells"), "predictions")  # doctest: +SKIP
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from faster_rcnn.detector import Detector
from faster_rcnn.errors import ImageError, OptionError
from faster_rcnn.inference.choice import ChoiceOptions, choice_of
from faster_rcnn.inference.limits import Conf
from faster_rcnn.system.wording import count_of

_LOG = logging.getLogger(__name__)

IMAGES = "image"
"""FiftyOne's type of data sets of images."""


def apply_model(
    samples: Any,
    detector: Detector,
    label_field: str = "predictions",
    conf: Conf = 0.5,
    max_det: int | None = None,
    tile: int | None = None,
    overlap: float | None = None,
    *,
    classes: str | Iterable[str] | None = None,
    iou: float | None = None,
    agnostic_nms: bool = False,
    progress: bool = False,
) -> int:
    """Detect objects in all images of a data set or view, and store them as its labels; returns how many were stored.

    FiftyOne's own ``dataset.apply_model`` takes only its own classes of models. An image that cannot be used keeps what
    it had; it is named in the log.

    Args:
        samples: a ``fiftyone.Dataset`` or a view of one, of images.
        detector: the detector.
        label_field: the field of the samples that the detections are stored in.
        conf: as in ``Detector.predict``, and so are the options after it.
        max_det: see there.
        tile: see there.
        overlap: see there.
        classes: see there.
        iou: see there.
        agnostic_nms: see there.
        progress: whether FiftyOne shows its bar.

    Raises:
        OptionError: the samples are no images, or an option makes no sense.
        MissingExtraError: FiftyOne is not installed.
    """
    if samples.media_type not in (IMAGES, None):
        raise OptionError(
            f"samples are of the type '{samples.media_type}', and images are needed; for the frames of videos apply it "
            "to dataset.to_frames()",
            code="E125",
        )
    names = choice_of(classes, iou, agnostic_nms).classes  # an iterator of names serves all samples
    choice: ChoiceOptions = {"classes": names, "iou": iou, "agnostic_nms": agnostic_nms}
    stored, failed = 0, 0
    for sample in samples.iter_samples(progress=progress, autosave=True):
        try:
            result = detector.predict(str(sample.filepath), conf, max_det, tile, overlap, **choice)
        except ImageError as error:
            _LOG.warning(f"{error}; its sample is left as it is")
            failed += 1
            continue
        sample[label_field] = result.to_fiftyone()
        stored += 1
    if failed:
        _LOG.warning(f"{count_of(failed, 'image')} of {stored + failed} could not be read, see above")
    return stored
