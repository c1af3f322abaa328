"""When training has diverged: a loss far above that of the first steps, or one that is no number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from faster_rcnn.errors import DivergedError
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.schema import Config

FIRST_STEPS = 5
"""Steps whose losses stand for the loss before training; their median is no outlier."""
DIVERGED = 1000.0
"""A loss so many times that of the first steps is divergence, long before it is no number any more."""
LEAST_FIRST_LOSS = 0.1
"""What a first loss counts at least: a fine-tuned detector may begin near 0, on images without objects."""


def max_loss(first_losses: Sequence[float]) -> float:
    """The highest loss that is no divergence, after steps with these losses; infinite before the first one.

    >>> max_loss([2.0, 2.5, 300.0])
    2500.0
    """
    return DIVERGED * max(median(first_losses), LEAST_FIRST_LOSS) if first_losses else math.inf


def explained(
    error: DivergedError, config: Config, step: int, image_ids: Sequence[int | str], lr: float, state: Path
) -> DivergedError:
    """The error of a step with what it was made of, where the weights are, and a learning rate that is lower."""
    lower = min(config.training.lr / 4, preset(config.preset).training.lr)
    ids = ", ".join(map(str, image_ids))
    return DivergedError(
        f"{error} at step {step} (images {ids}, learning rate {lr:.4g}). The weights before this step are in {state}. "
        f"Try a lower learning rate: --lr {lower:g}"
    )
