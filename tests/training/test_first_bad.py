"""The first tensor that is not finite is named, wherever it comes up, and the detector stays as it is."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from faster_rcnn.model import FasterRCNN
from faster_rcnn.structures import TrainingBatch
from faster_rcnn.training.first_bad import first_bad_tensor
from tiny import random_image, tiny_model, training_batch, truth_of


def batch(value: float = 40.0) -> TrainingBatch:
    images = [random_image(64, 96), random_image(64, 96, seed=1)]
    return training_batch(images, [truth_of([[10, 10, 40, 50]]), truth_of([[10, 10, value, 50]])], [0, 1])


def found_in(model: FasterRCNN, images: TrainingBatch, micro_batch: int | None = None) -> str | None:
    return first_bad_tensor(model, images, torch.float32, torch.get_rng_state(), micro_batch)


def in_weights(model: FasterRCNN) -> None:
    model.rpn.head.deltas.weight.data[0] = math.inf


def in_the_body(model: FasterRCNN) -> None:
    name = next(name for name, each in model.backbone.body.named_parameters() if each.dim() == 4)
    model.backbone.body.get_parameter(name).data.fill_(3e38)


def in_the_first_stage(model: FasterRCNN) -> None:
    next(model.rpn.head.convs.parameters()).data.fill_(3e38)


def in_the_second_stage(model: FasterRCNN) -> None:
    model.roi.classes.weight.data.fill_(3e38)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (in_weights, "the weights rpn.head.deltas.weight"),
        (in_the_body, "the output of backbone.body."),
        (in_the_first_stage, "the output of rpn.head.objectness (Conv2d)"),
        (in_the_second_stage, "the output of roi.classes (Linear)"),
    ],
)
def test_the_first_bad_tensor_is_named(damage: Callable[[FasterRCNN], None], expected: str) -> None:
    model = tiny_model()
    damage(model)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    random = torch.get_rng_state()
    found = found_in(model, batch())
    assert found is not None
    assert found.startswith(expected)
    assert torch.equal(torch.get_rng_state(), random)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0, equal_nan=True)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_step_that_is_sound_has_none_and_parts_are_searched_in_turn() -> None:
    model = tiny_model()
    assert found_in(model, batch()) is None
    assert found_in(model, batch(), micro_batch=1) is None
    assert found_in(model, batch(math.nan)) == "image 1 of the step or its boxes"


def test_a_loss_and_a_gradient_are_named() -> None:
    model = tiny_model()
    huge = training_batch([random_image(64, 96)], [truth_of([[10, 10, 40, 50]])], [0])
    model.rpn.loss = type(model.rpn.loss)(weight=math.inf)
    assert found_in(model, huge) == "the loss rpn_box"
    model = tiny_model()

    def divide(module: nn.Module, inputs: object, output: Tensor) -> None:
        output.register_hook(lambda grad: grad / 0)

    model.roi.deltas.register_forward_hook(divide)
    found = found_in(model, huge)
    assert found is not None
    assert found.startswith("the gradient of roi.deltas.")
