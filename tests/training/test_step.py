from __future__ import annotations

import math

import pytest
import torch

from faster_rcnn.errors import DivergedError
from faster_rcnn.training.optimizer import build_optimizer
from faster_rcnn.training.step import training_step
from tiny import random_image, tiny_model, training_batch, truth_of


def test_a_step_changes_every_trained_weight_and_reports_four_losses() -> None:
    model = tiny_model()
    before = {name: each.clone() for name, each in model.named_parameters()}
    losses = training_step(
        model,
        build_optimizer(model, lr=1.0, momentum=0.9, weight_decay=0.1),
        training_batch([random_image(64, 96)], [truth_of([[10, 10, 40, 50]], [1])], [0]),
        lr=0.1,
        clip_norm=10.0,
        precision=torch.float32,
    )
    assert list(losses.named) == ["rpn_objectness", "rpn_box", "roi_class", "roi_box"]
    assert all(math.isfinite(value) for value in losses.named.values())
    assert losses.total == pytest.approx(sum(losses.named.values()))
    for name, each in model.named_parameters():
        assert torch.equal(each, before[name]) != each.requires_grad, name


@pytest.mark.parametrize("norm", ["frozen", "batch"])
def test_a_diverged_step_leaves_weights_and_statistics_alone_and_names_the_loss(norm: str) -> None:
    model = tiny_model(backbone={"norm": norm})
    before = {name: each.clone() for name, each in model.state_dict().items()}
    pixels = random_image(64, 96).float() / 255
    pixels[0, 0, 0] = torch.inf
    optimizer = build_optimizer(model, lr=0.1, momentum=0.9, weight_decay=0.0)
    with pytest.raises(DivergedError, match=r"E128 .*rpn_objectness became nan") as raised:
        training_step(
            model,
            optimizer,
            training_batch([pixels], [truth_of([[10, 10, 40, 50]])], [0]),
            lr=0.1,
            clip_norm=10.0,
            precision=torch.float32,
        )
    assert raised.value.exit_code == 3
    for name, each in model.state_dict().items():
        torch.testing.assert_close(each, before[name], rtol=0, atol=0)


def test_gradients_are_clipped_to_their_norm() -> None:
    model = tiny_model()
    optimizer = build_optimizer(model, lr=0.1, momentum=0.0, weight_decay=0.0)
    training_step(
        model,
        optimizer,
        training_batch([random_image(64, 96)], [truth_of([[10, 10, 40, 50]])], [0]),
        lr=0.0,
        clip_norm=0.01,
        precision=torch.float32,
    )
    norms = [each.grad.norm() for each in model.parameters() if each.grad is not None]
    assert torch.stack(norms).norm().item() == pytest.approx(0.01, rel=1e-3)
