"""The length of a run, and the learning rate of each of its steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

from faster_rcnn.settings.training import TrainingConfig

IMAGES_PER_LEARNING_RATE = 16
"""Images per step that a learning rate is stated for; it is scaled linearly to the batch."""


MIN_EPOCHS, MIN_STEPS, MAX_EPOCHS = 12, 480, 60
"""Length of a run whose ``epochs`` are ``auto``.

12 epochs are the shortest schedule in use for this detector (Detectron2's and mmdetection's "1x" of COCO). Fewer than
160 images make fewer than 480 steps of them, which is too short for new heads: 16 images of fruit end at AP 0.52 after
48 steps and at 0.68 after 160. More steps than that did not pay: 160 images of raccoons had AP 0.536 and 0.574 (seeds 0
and 1) after 492 steps, 0.527 and 0.543 after 615. 60 epochs bound the time that very few images take.
"""
WARM_UP_SHARE = 10
"""The warm-up takes at most this fraction (1 / 10) of a run; a longer one would end a short run below its rate."""


def number_of_epochs(settings: TrainingConfig, steps_of_epoch: int) -> int:
    """The number of epochs that is set, or for ``auto`` the number that the data need.

    >>> number_of_epochs(TrainingConfig(epochs="auto"), steps_of_epoch=25)  # 480 steps are 19.2 epochs
    20
    """
    if settings.epochs != "auto":
        return settings.epochs
    return min(MAX_EPOCHS, max(MIN_EPOCHS, math.ceil(MIN_STEPS / steps_of_epoch)))


def warm_up_steps(settings: TrainingConfig, steps: int) -> int:
    """Steps during which the learning rate of a run of ``steps`` rises.

    >>> warm_up_steps(TrainingConfig(warmup_steps=50), steps=48)
    4
    """
    return min(settings.warmup_steps, steps // WARM_UP_SHARE)


def learning_rate(step: int, settings: TrainingConfig, steps: int) -> float:
    """The learning rate of step number ``step`` (from 0) of a run of ``steps``."""
    share = (
        cosine(step, steps)
        if settings.schedule == "cosine"
        else multistep(step, steps, settings.milestones, settings.decay)
    )
    rate = learning_rate_of_batch(settings.lr, settings.images_per_step)
    return rate * share * warm_up(step, warm_up_steps(settings, steps))


def highest_learning_rate(settings: TrainingConfig, steps: int) -> tuple[float, int]:
    """The highest learning rate of a run of ``steps``, and its step (from 0); the decay begins during the warm-up."""
    rise = range(min(steps, warm_up_steps(settings, steps) + 1))
    step = max(rise, key=lambda step: learning_rate(step, settings, steps))
    return learning_rate(step, settings, steps), step


def learning_rate_of_batch(lr: float, batch: int) -> float:
    """The learning rate for ``batch`` images per step.

    >>> learning_rate_of_batch(0.08, batch=4)
    0.02
    """
    return lr * batch / IMAGES_PER_LEARNING_RATE


def cosine(step: int, steps: int) -> float:
    """Factor of the learning rate: from 1 along half a cosine to 0.

    >>> cosine(0, 100), round(cosine(50, 100), 3)
    (1.0, 0.5)
    """
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def multistep(step: int, steps: int, milestones: Sequence[float], decay: float) -> float:
    """Factor of the learning rate: 1, times ``decay`` for each milestone (a fraction of all steps) that has passed.

    >>> multistep(70, 90, milestones=[2 / 3, 8 / 9], decay=0.1)
    0.1
    """
    return decay ** sum(step >= milestone * steps for milestone in milestones)


def warm_up(step: int, steps: int) -> float:
    """Factor of the learning rate, which rises linearly to 1 during the first ``steps`` steps.

    >>> warm_up(0, 50), warm_up(49, 50), warm_up(99, 50)
    (0.02, 1.0, 1.0)
    """
    return min(1.0, (step + 1) / steps) if steps else 1.0
