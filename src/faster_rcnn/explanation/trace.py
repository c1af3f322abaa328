"""``Trace``: one image explained. ``Detector.trace`` makes it.

The recorded passes are its ``recording``; everything else is computed from them when it is first asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

from faster_rcnn.explanation.causes.explained import Explained
from faster_rcnn.explanation.causes.kinds import Thresholds
from faster_rcnn.explanation.causes.truths import GivenTruth, truth_given
from faster_rcnn.explanation.record.recorder import record
from faster_rcnn.inference.inputs import AnyImage
from faster_rcnn.inference.limits import refuse_share
from faster_rcnn.inference.predictor import Predictor


@dataclass(frozen=True, eq=False)
class Trace(Explained):
    """What both stages of a detector computed for one image, and why.

    >>> trace = detector.trace("slide.png")  # doctest: +SKIP
    >>> trace.life(0).ious(truth)  # doctest: +SKIP
    """


def trace_image(
    predictor: Predictor, image: AnyImage, truth: GivenTruth | None, conf: float, iou_threshold: float
) -> Trace:
    """Predict one image with a predictor, and keep what its passes computed.

    Raises:
        ImageError: the image cannot be used.
        OptionError: a threshold is not in 0..1, or the truth cannot be used.
    """
    refuse_share("iou_threshold", iou_threshold, "IoUs are")
    known = truth_given(truth, predictor.classes)
    return Trace(record(predictor, image, conf, known), Thresholds(conf, iou_threshold))
