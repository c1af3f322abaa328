from __future__ import annotations

import pytest

from faster_rcnn.settings.training import TrainingConfig
from faster_rcnn.training.schedule import (
    highest_learning_rate,
    learning_rate,
    learning_rate_of_batch,
    multistep,
    number_of_epochs,
    warm_up,
    warm_up_steps,
)


def test_the_learning_rate_is_for_sixteen_images() -> None:
    assert learning_rate_of_batch(0.08, 16) == 0.08
    assert learning_rate_of_batch(0.08, 4) == 0.02  # 0.08 x 4 / 16


def test_cosine_after_a_warm_up_falls_to_nothing() -> None:
    settings = TrainingConfig(lr=0.16, batch=1, warmup_steps=4)  # 0.01 for one image
    rates = [learning_rate(step, settings, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.01 / 4)
    assert rates[50] == pytest.approx(0.005)  # half a cosine is 1/2 in its middle
    assert rates[99] < 0.01 * 0.001
    assert rates[4:] == sorted(rates[4:], reverse=True)


def test_multistep_decays_at_each_milestone() -> None:
    settings = TrainingConfig(lr=1.6, batch=1, warmup_steps=0, schedule="multistep", milestones=(0.5, 0.9), decay=0.1)
    rates = [learning_rate(step, settings, 10) for step in (0, 4, 5, 8, 9)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])


def test_no_warm_up_and_no_milestones() -> None:
    assert warm_up(0, 0) == 1.0
    assert multistep(99, 100, (), 0.1) == 1.0


@pytest.mark.parametrize(
    ("steps_of_epoch", "epochs"),
    [
        (1, 60),  # 480 epochs would be 480 steps: the most
        (4, 60),  # 120 epochs: 16 images in batches of 4
        (8, 60),
        (9, 54),  # 480 / 9 = 53.3
        (25, 20),  # 480 / 25 = 19.2
        (40, 12),
        (52, 12),  # 205 images in batches of 4: 624 steps
        (30_000, 12),
    ],
)
def test_auto_is_enough_steps_for_few_images(steps_of_epoch: int, epochs: int) -> None:
    assert number_of_epochs(TrainingConfig(), steps_of_epoch) == epochs
    assert number_of_epochs(TrainingConfig(epochs=3), steps_of_epoch) == 3


def test_the_warm_up_is_a_tenth_of_the_run_at_most() -> None:
    assert [warm_up_steps(TrainingConfig(), steps) for steps in (5, 48, 499, 500, 624)] == [0, 4, 49, 50, 50]
    short = TrainingConfig(lr=0.16, batch=1)  # 0.01 for one image
    rates = [learning_rate(step, short, 48) for step in range(48)]
    # The rate rises for 4 steps: at the last of them half a cosine over 48 steps stands at 1/2 + cos(pi 3/48)/2.
    assert max(rates) == rates[3] == pytest.approx(0.01 * 0.9904, rel=1e-4)
    assert highest_learning_rate(short, 48) == (rates[3], 3)
    assert highest_learning_rate(short, 1) == (0.01, 0)
