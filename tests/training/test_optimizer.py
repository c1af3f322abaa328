"""Which weights decay, how both optimizers move them, and what a resumed run takes from a state."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Optimizer
from torch.testing import assert_close

from faster_rcnn.choices import OptimizerName
from faster_rcnn.settings.training import TrainingConfig
from faster_rcnn.training.optimizer import build_optimizer, load_moments, optimizer_of, remark_on_rate
from faster_rcnn.training.state import UnusableStateError

BOTH: tuple[OptimizerName, ...] = ("sgd", "adamw")


@pytest.mark.parametrize("name", BOTH)
def test_weights_decay_and_biases_and_norms_do_not(name: OptimizerName) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    optimizer = build_optimizer(model, lr=0.1, momentum=0.9, weight_decay=0.01, name=name)
    decayed, spared = optimizer.param_groups
    assert [tuple(each.shape) for each in decayed["params"]] == [(2, 4)]
    assert [tuple(each.shape) for each in spared["params"]] == [(4,), (4,), (2,)]
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.01, 0.0)


def test_the_first_move_of_adamw_is_the_rate_whatever_the_gradient() -> None:
    # The mean gradient is g, the root of the mean square |g|: 0.1 * g / |g|, after a decay of 0.1 * 0.5 of the weight.
    layer = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(2.0)
    optimizer = build_optimizer(layer, lr=0.1, momentum=0.9, weight_decay=0.5, name="adamw")
    layer.weight.grad = torch.tensor([[-30.0]])
    optimizer.step()
    assert_close(layer.weight.detach(), torch.tensor([[2.0 * (1 - 0.05) + 0.1]]))


def test_the_settings_name_the_optimizer() -> None:
    settings = TrainingConfig(optimizer="adamw", momentum=0.8, weight_decay=0.3)
    optimizer = optimizer_of(nn.Linear(2, 1), settings, lr=0.5)
    assert isinstance(optimizer, torch.optim.AdamW)
    assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["weight_decay"]) == (0.5, 0.3)
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.999)
    assert isinstance(optimizer_of(nn.Linear(2, 1), TrainingConfig(), lr=0.5), torch.optim.SGD)


def moved(layer: nn.Linear, optimizer: Optimizer, steps: range) -> None:
    for step in steps:
        optimizer.zero_grad()
        layer(torch.full((1, 2), float(step + 1))).sum().backward()
        optimizer.step()


@pytest.mark.parametrize("name", BOTH)
def test_a_resumed_run_moves_as_the_uninterrupted_one(name: OptimizerName) -> None:
    def optimizer_for(layer: nn.Linear, lr: float) -> Optimizer:
        return build_optimizer(layer, lr=lr, momentum=0.9, weight_decay=0.1, name=name)

    whole = nn.Linear(2, 1)
    resumed = copy.deepcopy(whole)
    moved(whole, optimizer_for(whole, 0.1), range(6))
    first = optimizer_for(resumed, 0.1)
    moved(resumed, first, range(3))
    state = copy.deepcopy(first.state_dict())
    state["param_groups"][0]["lr"] = 9.0  # rates are those of the run's settings
    second = optimizer_for(resumed, 0.1)
    load_moments(second, state)
    moved(resumed, second, range(3, 6))
    assert torch.equal(resumed.weight, whole.weight)
    assert torch.equal(resumed.bias, whole.bias)


Change = Callable[[dict[Any, Any]], object]


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.update({2: state[0]}),
        lambda state: state.update({"0": state.pop(0)}),
        lambda state: state[0].update(other=1),
        lambda state: state.update({0: {}}),
        lambda state: state.update({0: None}),
        lambda state: state.update({0: {key: torch.ones(3) for key in state[0]}}),
        lambda state: state.update({0: {key: each.half() for key, each in state[1].items()}}),
    ],
)
def test_a_state_that_does_not_fit_is_refused(name: OptimizerName, change: Change) -> None:
    layer = nn.Linear(2, 1)
    optimizer = build_optimizer(layer, lr=0.1, momentum=0.9, weight_decay=0.0, name=name)
    moved(layer, optimizer, range(1))
    found = copy.deepcopy(optimizer.state_dict())
    change(found["state"])
    with pytest.raises(UnusableStateError, match="its momentum is not that of the run's weights"):
        load_moments(optimizer, found)


@pytest.mark.parametrize("name", BOTH)
def test_the_state_of_another_optimizer_is_refused(name: OptimizerName) -> None:
    layer = nn.Linear(2, 1)
    one, other = (build_optimizer(layer, lr=0.1, momentum=0.9, weight_decay=0.0, name=each) for each in BOTH)
    given, own = (other, one) if name == "sgd" else (one, other)
    moved(layer, given, range(1))
    wrong: list[object] = [given.state_dict(), None, {"state": []}]
    for found in wrong:
        with pytest.raises(UnusableStateError, match="its momentum is not that of the run's weights"):
            load_moments(own, found)


def test_a_rate_of_the_other_optimizer_is_told(caplog: pytest.LogCaptureFixture) -> None:
    sgd, adamw = TrainingConfig(optimizer="sgd", lr=0.08), TrainingConfig(optimizer="adamw", lr=0.0016)
    with caplog.at_level(logging.WARNING):
        for settings in (sgd, adamw):
            for usual in (sgd, adamw):
                remark_on_rate(settings, usual)
    assert caplog.text == ""
    remark_on_rate(TrainingConfig(optimizer="adamw", lr=0.08), sgd)
    assert "training.lr 0.08 is a learning rate for training.optimizer=sgd; adamw needs one below 0.01" in caplog.text
    remark_on_rate(TrainingConfig(optimizer="sgd", lr=0.0016), adamw)
    assert (
        "training.lr 0.0016 is a learning rate for training.optimizer=adamw, which the preset has; sgd" in caplog.text
    )
