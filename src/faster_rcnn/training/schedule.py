"""Stochastic gradient descent and its learning rate (section 3.1.3: momentum 0.9, weight decay)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn
from torch.optim import SGD

IMAGES_PER_LEARNING_RATE = 16
"""A learning rate is given for this many images per step and scaled linearly to the batch."""


def build_optimizer(model: nn.Module, *, lr: float, momentum: float, weight_decay: float) -> SGD:
    """SGD over what is trained; weight decay for weights, none for norms and biases (1-dimensional parameters)."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [each for each in trained if each.ndim > 1], "weight_decay": weight_decay},
        {"params": [each for each in trained if each.ndim <= 1], "weight_decay": 0.0},
    ]
    return SGD(groups, lr=lr, momentum=momentum)


def learning_rate_of_batch(lr: float, batch: int) -> float:
    """The learning rate for ``batch`` images per step.

    >>> learning_rate_of_batch(0.08, batch=4)
    0.02
    """
    return lr * batch / IMAGES_PER_LEARNING_RATE


def cosine(step: int, steps: int) -> float:
    """Share of the learning rate: from 1 along half a cosine to 0.

    >>> cosine(0, 100), round(cosine(50, 100), 3)
    (1.0, 0.5)
    """
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def multistep(step: int, steps: int, milestones: Sequence[float], decay: float) -> float:
    """Share of the learning rate: 1, times ``decay`` for each milestone (a share of all steps) that has passed.

    >>> multistep(70, 90, milestones=[2 / 3, 8 / 9], decay=0.1)
    0.1
    """
    return decay ** sum(step >= milestone * steps for milestone in milestones)


def warm_up(step: int, steps: int) -> float:
    """Share of the learning rate during the first ``steps`` steps: rises linearly to 1.

    >>> warm_up(0, 50), warm_up(49, 50), warm_up(99, 50)
    (0.02, 1.0, 1.0)
    """
    return min(1.0, (step + 1) / steps) if steps else 1.0
