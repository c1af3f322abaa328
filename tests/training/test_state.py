"""A state is checked part by part before a run goes on from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.schema import Config
from faster_rcnn.training.machine_settings import with_training
from faster_rcnn.training.state import (
    MAX_IMAGES,
    Progress,
    UnusableStateError,
    checked_state,
    load_random,
    load_tensors,
    refuse_other_progress,
    refuse_state_of_another_run,
    run_identity,
)

ROW = {"epoch": 1, "step": 2, "lr": 0.1, "AP": None}


def content(**progress: object) -> dict[str, Any]:
    """A state after one epoch of two steps."""
    values = Progress(epoch=1, step=2, best_value=0.5, best_epoch=0, images=4, rows=[ROW]).to_plain()
    parts: dict[str, Any] = {"model": {"w": torch.ones(2)}, "average": None, "optimizer": {}, "random": None}
    return {**parts, "progress": {**values, **progress}}


def test_progress_comes_back_as_it_was_written() -> None:
    progress = checked_state(content())["progress"]
    assert isinstance(progress, Progress)
    assert progress.to_plain() == content()["progress"]
    fresh = checked_state({**content(), "progress": Progress().to_plain()})["progress"]
    assert fresh == Progress()


@pytest.mark.parametrize("part", ["model", "average", "optimizer", "random", "progress"])
def test_a_state_that_lacks_a_part_is_none(part: str) -> None:
    state = content()
    del state[part]
    with pytest.raises(UnusableStateError, match=r"^is no state of a training run$"):
        checked_state(state)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"epoch": -1}, r"is damaged: progress\.epoch: Input should be greater than or equal to 0"),
        ({"training_seconds": float("nan")}, r"is damaged: progress\.training_seconds: "),
        ({"sums": {"rpn_box": float("inf")}}, r"is damaged: progress\.sums\.rpn_box: "),
        ({"rows": []}, "contradicts itself"),  # one epoch is done, which has no row
        ({"best_epoch": 1}, "contradicts itself"),  # epochs are counted from 0: only 0 can be the best
        ({"best_epoch": -1}, "contradicts itself"),
        ({"images": 0}, "contradicts itself"),
        ({"images": MAX_IMAGES}, "contradicts itself"),
        ({"rows": [{"epoch": 1, "step": 2}]}, "contradicts itself"),
        ({"rows": [{**ROW, "AP": float("nan")}]}, "contradicts itself"),
        ({"rows": [{**ROW, "AP": "high"}]}, "contradicts itself"),
    ],
)
def test_impossible_progress_is_refused(values: dict[str, object], fault: str) -> None:
    with pytest.raises(UnusableStateError, match=fault):
        checked_state(content(**values))


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))


def test_tensors_are_loaded_where_they_fit() -> None:
    source, target = model(), model()
    load_tensors("model", target, source.state_dict())
    assert all(torch.equal(each, source.state_dict()[name]) for name, each in target.state_dict().items())


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda found: found.pop("0.bias"), "does not fit the run: its model lacks '0.bias'"),
        (lambda found: found.update({"2.bias": torch.ones(1)}), "its model has '2.bias', which the run has not"),
        (
            lambda found: found.update({"0.weight": torch.ones(2, 1)}),
            r"'0.weight' of its model is \(2, 1\) in torch.float32, not \(1, 2\) in torch.float32",
        ),
        (lambda found: found.update({"0.bias": torch.ones(1).half()}), r"\(1,\) in torch.float16, not \(1,\) in "),
        (lambda found: found.update({"0.bias": torch.tensor([torch.nan])}), "is damaged: '0.bias' of its model is not"),
    ],
)
def test_other_tensors_are_refused_and_change_nothing(change: Callable[[dict[str, Any]], object], fault: str) -> None:
    found, target = dict(model().state_dict()), model()
    before = {name: each.clone() for name, each in target.state_dict().items()}
    change(found)
    with pytest.raises(UnusableStateError, match=fault):
        load_tensors("model", target, found)
    assert all(torch.equal(each, before[name]) for name, each in target.state_dict().items())
    with pytest.raises(UnusableStateError, match="does not fit the run: it lacks the average"):
        load_tensors("average", target, None)


def test_random_numbers_go_on_where_they_were() -> None:
    state = torch.get_rng_state()
    expected = torch.rand(3)
    load_random(state)
    assert torch.equal(torch.rand(3), expected)
    for found in (None, "x", torch.zeros(3), torch.zeros(3, dtype=torch.uint8)):
        with pytest.raises(UnusableStateError, match="its 'random' is no state of torch's random numbers"):
            load_random(found)


def identity(config: Config) -> dict[str, Any]:
    return run_identity(config, None)


def test_only_settings_that_may_change_may_differ() -> None:
    config = preset("small")
    longer = with_training(config, epochs=7, precision="bfloat16", threads=3)
    refuse_state_of_another_run(identity(longer), identity(config))
    refuse_state_of_another_run(None, identity(config))  # an earlier version wrote no identity
    other = with_training(config, lr=0.5, batch=3, seed=9, momentum=0.5)
    with pytest.raises(UnusableStateError, match=r"is of a run with other settings: .*training\.\w+ .* and 1 more$"):
        refuse_state_of_another_run(identity(other), identity(config))
    with pytest.raises(UnusableStateError, match=r"^is of a run on other data$"):
        refuse_state_of_another_run({**identity(config), "data": "a"}, {**identity(config), "data": "b"})
    refuse_state_of_another_run({**identity(config), "data": "a"}, identity(config))


def test_progress_beyond_the_run_is_refused() -> None:
    # Two epochs of three steps: step 5 is the second one of epoch 2.
    refuse_other_progress(Progress(epoch=1, steps_of_epoch=2, step=5), 3, 2)
    refuse_other_progress(Progress(epoch=2, step=6), 3, 2)
    refuse_other_progress(Progress(epoch=2, step=4), 3, 2)  # two batches could not be read
    for progress in (Progress(epoch=3, step=6), Progress(epoch=1, steps_of_epoch=4, step=5), Progress(epoch=2, step=7)):
        with pytest.raises(UnusableStateError, match=r"^does not fit the run, which has 2 epochs of 3 steps: step "):
            refuse_other_progress(progress, 3, 2)
