"""Frozen batch norm: neither its statistics nor its affine part changes in any mode."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.testing import assert_close

from faster_rcnn.backbone.norm import freeze_norms, norms, set_norm_epsilon
from faster_rcnn.model import FasterRCNN
from tiny import random_image, tiny_model, training_batch, truth_of


def state_of_norms(module: nn.Module) -> dict[str, Tensor]:
    """Weights, biases, means, variances and counts of all norms."""
    return {
        f"{name}.{key}": value.detach().clone()
        for name, layer in module.named_modules()
        if isinstance(layer, nn.BatchNorm2d)
        for key, value in layer.state_dict().items()
    }


def train_three_steps(model: FasterRCNN) -> None:
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=0.01)
    for seed in range(3):
        optimizer.zero_grad()
        model.train()
        losses = model(training_batch([random_image(64, 96, seed)], [truth_of([[5, 5, 40, 50]])], [seed]))
        losses.total.backward()
        optimizer.step()


def test_norms_finds_every_batch_norm_of_a_body() -> None:
    # Every batch norm has a running mean, whatever its class is called (timm has its own).
    body = tiny_model().backbone.body
    by_name = [name for name, _ in body.named_buffers() if name.endswith("running_mean")]
    assert len(norms(body)) == len(by_name) > 10


def test_frozen_norm_stays_frozen_through_train_and_steps() -> None:
    model = tiny_model(backbone={"norm": "frozen"})
    before = state_of_norms(model.backbone.body)
    train_three_steps(model)
    model.eval()
    model.train()
    assert not any(layer.training for layer in norms(model.backbone.body))
    assert not any(each.requires_grad for layer in norms(model.backbone.body) for each in layer.parameters())
    after = state_of_norms(model.backbone.body)
    assert before.keys() == after.keys()
    for key, value in before.items():
        assert torch.equal(value, after[key]), key


def test_batch_norm_that_is_not_frozen_learns() -> None:
    model = tiny_model(backbone={"norm": "batch"})
    before = state_of_norms(model.backbone.body)
    train_three_steps(model)
    after = state_of_norms(model.backbone.body)
    for kind in ("running_mean", "running_var", "weight", "bias"):
        assert any(not value.equal(after[key]) for key, value in before.items() if key.endswith(kind)), kind


def test_freezing_a_body_leaves_the_norms_of_pyramid_and_head_alone() -> None:
    model = tiny_model(backbone={"norm": "frozen", "pyramid_norm": True}, roi={"head_convs": (8,)})
    assert model.backbone.pyramid is not None
    for part in (model.backbone.pyramid, model.roi):
        assert len(norms(part)) > 0
        assert all(layer.training for layer in norms(part))
        assert all(each.requires_grad for layer in norms(part) for each in layer.parameters())


def test_freezing_does_not_touch_other_layers() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Dropout())
    freeze_norms(layers)
    assert [layer.training for layer in layers] == [True, False, True]
    assert [each.requires_grad for each in layers.parameters()] == [True, True, False, False]


def test_epsilon_of_every_norm_below() -> None:
    # Mean 0, variance 1, epsilon 3: an input of 2 becomes 2 / sqrt(1 + 3) = 1.
    layers = nn.Sequential(nn.Sequential(nn.BatchNorm2d(1)), nn.BatchNorm2d(1)).eval()
    set_norm_epsilon(layers, 3.0)
    assert_close(layers(torch.full((1, 1, 1, 1), 4.0)).detach(), torch.full((1, 1, 1, 1), 1.0))
