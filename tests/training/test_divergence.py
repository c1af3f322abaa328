from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from faster_rcnn.errors import DivergedError
from faster_rcnn.settings.presets import preset
from faster_rcnn.training.divergence import explained, max_loss
from faster_rcnn.training.optimizer import build_optimizer
from faster_rcnn.training.step import training_step
from made_data import make_squares, train_with
from tiny import random_image, tiny_model, training_batch, truth_of


def test_one_outlier_does_not_set_the_bound() -> None:
    assert max_loss([]) == math.inf
    assert max_loss([2.0]) == 2000.0
    assert max_loss([2.0, 900.0, 2.2]) == 2200.0  # the median
    assert max_loss([0.0, 0.001]) == 100.0  # a detector that was trained already, on images without objects


def test_a_step_whose_loss_is_too_high_moves_nothing() -> None:
    model = tiny_model()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    with pytest.raises(DivergedError, match=r"E128 the loss became 2\..*, above 1, a thousand times"):
        training_step(
            model,
            build_optimizer(model, lr=0.1, momentum=0.9, weight_decay=0.0),
            training_batch([random_image(64, 96)], [truth_of([[10, 10, 40, 50]])], [0]),
            lr=0.1,
            clip_norm=10.0,
            precision=torch.float32,
            max_loss=1.0,
        )
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())


@pytest.mark.parametrize(
    ("optimizer", "lr", "lower"),
    [("adamw", 100.0, "0.0016"), ("adamw", 0.0032, "0.0008"), ("adamw", 0.001, "0.00025"), ("sgd", 100.0, "25")],
)
def test_the_remedy_is_a_rate_that_is_lower_and_usual(optimizer: str, lr: float, lower: str) -> None:
    config = preset("small")
    changed = config.training.model_copy(update={"lr": lr, "optimizer": optimizer})
    config = config.model_copy(update={"training": changed})
    message = explained(DivergedError("E128 broken"), config, 7, [3, 4], 0.5, Path("run/state.pt"))
    assert str(message).startswith("E128 broken at step 7 (images 3, 4, learning rate 0.5). ")
    assert str(message).endswith(f"--lr {lower}")


def test_a_run_with_an_absurd_learning_rate_ends_and_is_saved(tmp_path: Path) -> None:
    data = make_squares(tmp_path / "data", {"train": 8})
    settings = [
        *("backbone.body=test_resnet", "backbone.weights=none", "backbone.frozen_stages=0"),
        *("image.short_side=64", "image.long_side=128", "training.workers=0", "training.precision=float32"),
    ]
    with pytest.raises(DivergedError, match=r"E128 .* at step \d+ .*--lr 0\.0016") as raised:
        train_with(data, out=tmp_path / "run", settings=settings, lr=1e6, epochs=30)
    assert raised.value.exit_code == 3
    state = torch.load(tmp_path / "run/state.pt", weights_only=True)
    assert all(bool(tensor.isfinite().all()) for tensor in state["model"].values())
