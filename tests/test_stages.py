"""The pass by stages runs as far as it is used, and inference mode is left as it was entered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from torch import nn

from faster_rcnn.stages import BODY, DETECTIONS, FEATURES, PROPOSALS, StageValue, evaluating, until


def a_pass(computed: list[str]) -> Iterator[StageValue]:
    for stage in (BODY, FEATURES, PROPOSALS):
        computed.append(stage.name)
        yield stage, f"value of {stage.name}"


def test_later_stages_are_not_computed_before_they_are_needed() -> None:
    computed: list[str] = []
    stages = a_pass(computed)
    value: Any = until(stages, FEATURES)
    assert value == "value of features"
    assert computed == ["body", "features"]
    value = until(stages, PROPOSALS)
    assert value == "value of proposals"
    assert computed == ["body", "features", "proposals"]


def test_a_stage_that_the_pass_lacks_or_has_passed_is_an_error() -> None:
    with pytest.raises(LookupError, match="this pass has no stage 'detections'"):
        until(a_pass([]), DETECTIONS)
    stages = a_pass([])
    until(stages, FEATURES)
    with pytest.raises(LookupError, match="this pass has no stage 'body'"):
        until(stages, BODY)


def fail_while_evaluating(model: nn.Module) -> None:
    with evaluating(model):
        assert not any(layer.training for layer in model.modules())
        raise ZeroDivisionError


def test_each_layer_returns_to_the_mode_that_it_had() -> None:
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2), nn.Sequential(nn.Dropout()))
    model[1].eval()  # a fixed layer of a model in training
    before = [layer.training for layer in model.modules()]
    assert before == [True, True, False, True, True]
    with pytest.raises(ZeroDivisionError):
        fail_while_evaluating(model)
    assert [layer.training for layer in model.modules()] == before
    model.eval()
    with evaluating(model):
        assert not model.training
    assert not any(layer.training for layer in model.modules())
