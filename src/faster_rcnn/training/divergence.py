"""Criterion of divergence: a loss far above that of the first steps, or one that is not finite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from faster_rcnn.errors import DivergedError
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.schema import Config

FIRST_STEPS = 5
"""Number of first steps whose median loss stands for the loss before training; a median is no outlier."""
DIVERGENCE_FACTOR = 1000.0
"""A loss of this multiple of the first ones counts as divergence, long before it stops being finite."""
MIN_FIRST_LOSS = 0.1
"""Lower bound of the first losses: a fine-tuned detector may begin near 0, on images without objects."""


def max_loss(first_losses: Sequence[float]) -> float:
    """The highest loss that does not count as divergence, after steps with ``first_losses``; infinite before any step.

    >>> max_loss([2.0, 2.5, 300.0])
    2500.0
    """
    return DIVERGENCE_FACTOR * max(median(first_losses), MIN_FIRST_LOSS) if first_losses else math.inf


def explained(
    error: DivergedError,
    config: Config,
    step: int,
    image_ids: Sequence[int | str],
    lr: float,
    state: Path,
    bundle: Path | None = None,
    bad: str | None = None,
) -> DivergedError:
    """The error of a diverged step, with its images, the files to go on from, and a lower learning rate.

    Args:
        error: what was wrong.
        config: settings of the run.
        step: steps that were made before.
        image_ids: ids of the images of the step.
        lr: learning rate of the step.
        state: file of the weights before the step.
        bundle: file of what went into the step; ``None`` where there is none.
        bad: the first tensor that is not finite; ``None`` where none is known.
    """
    usual, lower = preset(config.preset).training, config.training.lr / 4
    if usual.optimizer == config.training.optimizer:
        lower = min(lower, usual.lr)
    ids = ", ".join(map(str, image_ids))
    first = "" if bad is None else f"; the first tensor that is not finite is {bad}"
    repeated = "" if bundle is None else f", and all that went into it is in {bundle}{first}"
    return DivergedError(
        f"{error} at step {step} (images {ids}, learning rate {lr:.4g}). The weights before this step are in {state}"
        f"{repeated}. Try a lower learning rate: --lr {lower:g}"
    )
