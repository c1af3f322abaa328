"""The first losses of a new detector against their expected values: a guard before hours of training.

The last layers begin with small weights and without biases (Fast R-CNN, section 2.3; Faster R-CNN, section 3.1.3), so
every class is as likely as any other: the log loss of K classes and background is ln(K + 1), and that of object or no
object ln 2, by one logit or by a softmax of two.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

from faster_rcnn.training.callback import Callback, StepEnd
from faster_rcnn.training.initial_weights import Parts
from faster_rcnn.weights.model_file import LoadedModel

_LOG = logging.getLogger(__name__)

FACTOR = 1.5
"""A loss is as expected up to this factor, above and below.

Weights of standard deviation 0.01 on vectors of length 50, as of VGG16's fc7, spread the logits by 0.5, and the loss of
spread logits is higher by half of the variance.
"""
LAYERS = {"rpn_objectness": "rpn.", "roi_class": "roi."}
"""Losses with an expected value, and the beginning of the names of the weights that must be new for it."""


def expected_losses(num_classes: int, start: LoadedModel | Parts | None) -> Mapping[str, float]:
    """The expected first losses by name, of the layers that begin with new weights.

    Args:
        num_classes: K.
        start: the trained detector that training starts from, or parts of one; layers that come from it have no
            expected loss.
    """
    if isinstance(start, LoadedModel):
        return {}
    taken = () if start is None else start.prefixes
    values = {"rpn_objectness": math.log(2), "roi_class": math.log(num_classes + 1)}
    return {name: value for name, value in values.items() if LAYERS[name] not in taken}


class FirstLosses(Callback):
    """Compares the losses of the first step with their expected values, and warns of a difference."""

    def __init__(self, num_classes: int, start: LoadedModel | Parts | None) -> None:
        self._expected = expected_losses(num_classes, start)
        self._outputs = {"rpn_objectness": 2, "roi_class": num_classes + 1}

    def on_step_end(self, event: StepEnd) -> None:
        """Check the first step; a loss is 0 where nothing was sampled, as where no anchor lies inside the images."""
        if event.step != 1:
            return
        for name, expected in self._expected.items():
            found = event.losses.get(name, 0.0)
            if found != 0 and not expected / FACTOR <= found <= expected * FACTOR:
                _LOG.warning(
                    f"the first {name} loss is {found:.3g}, and that of new weights is {expected:.3g}, ln "
                    f"{self._outputs[name]}: what reaches that layer is far from normalized. Usual causes are "
                    "image.mean and image.std of other pixels, and weights of another body; training may diverge or "
                    "learn little"
                )
