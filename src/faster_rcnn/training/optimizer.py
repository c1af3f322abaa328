"""The rules by which gradients move the weights: SGD with momentum (section 3.1.3), or AdamW."""

from __future__ import annotations

import logging

from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from faster_rcnn.choices import OptimizerName
from faster_rcnn.settings.training import TrainingConfig
from faster_rcnn.training.state import UnusableStateError

_LOG = logging.getLogger(__name__)

SECOND_MOMENT = 0.999
"""Decay of AdamW's mean squared gradient (1412.6980, algorithm 1)."""
MOST_OF_ADAMW = 0.01
"""Learning rate for 16 images above which training by AdamW diverges or learns nothing."""


def build_optimizer(
    model: nn.Module, *, lr: float, momentum: float, weight_decay: float, name: OptimizerName = "sgd"
) -> Optimizer:
    """The optimizer of the trained parameters; weight decay for weights, none for norms and biases (1-dimensional)."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [each for each in trained if each.ndim > 1], "weight_decay": weight_decay},
        {"params": [each for each in trained if each.ndim <= 1], "weight_decay": 0.0},
    ]
    if name == "adamw":
        return AdamW(groups, lr=lr, betas=(momentum, SECOND_MOMENT), fused=True)
    return SGD(groups, lr=lr, momentum=momentum)


def optimizer_of(model: nn.Module, settings: TrainingConfig, lr: float) -> Optimizer:
    """The optimizer that the settings name, with the rate of a step."""
    return build_optimizer(
        model,
        lr=lr,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        name=settings.optimizer,
    )


def remark_on_rate(settings: TrainingConfig, usual: TrainingConfig) -> None:
    """Log a warning where the rate is one of the other optimizer.

    AdamW moves every weight by about the rate itself, SGD by the rate times the gradient. ``usual`` are the settings of
    the preset.
    """
    rate = f"training.lr {settings.lr:g} is a learning rate for training.optimizer="
    if settings.optimizer == "adamw" and settings.lr > MOST_OF_ADAMW:
        _LOG.warning(
            f"{rate}sgd; adamw needs one below {MOST_OF_ADAMW:g}, and the presets with adamw have 0.0016. "
            "Leave it out, or add --set training.optimizer=sgd"
        )
    if settings.optimizer == "sgd" and usual.optimizer == "adamw" and settings.lr == usual.lr:
        _LOG.warning(f"{rate}adamw, which the preset has; sgd learns hardly anything with it: --lr 0.08")


def load_moments(optimizer: Optimizer, found: object) -> None:
    """Load what an optimizer keeps of earlier gradients; rates and decays stay those of the run's settings.

    Raises:
        UnusableStateError: it belongs to other parameters, or to another optimizer.
    """
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    kept = found.get("state") if isinstance(found, dict) else None
    fits = _is_moments if isinstance(optimizer, AdamW) else _is_momentum
    if not isinstance(kept, dict) or not all(
        isinstance(key, int) and 0 <= key < len(parameters) and fits(each, parameters[key])
        for key, each in kept.items()
    ):
        raise UnusableStateError("does not fit the run: its momentum is not that of the run's weights")
    optimizer.load_state_dict({"state": kept, "param_groups": optimizer.state_dict()["param_groups"]})


def _is_momentum(found: object, own: Tensor) -> bool:
    if not isinstance(found, dict) or found.keys() != {"momentum_buffer"}:
        return False
    return found["momentum_buffer"] is None or _is_like(found["momentum_buffer"], own)


def _is_moments(found: object, own: Tensor) -> bool:
    if not isinstance(found, dict) or found.keys() != {"step", "exp_avg", "exp_avg_sq"}:
        return False
    step = found["step"]
    return (
        isinstance(step, Tensor)
        and step.numel() == 1
        and _is_like(found["exp_avg"], own)
        and _is_like(found["exp_avg_sq"], own)
    )


def _is_like(found: object, own: Tensor) -> bool:
    return isinstance(found, Tensor) and (found.shape, found.dtype) == (own.shape, own.dtype)
