"""Strides and channels as promised, stages frozen as asked, and errors for what a body does not have."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faster_rcnn.backbone.body import MOBILENET, build_body
from faster_rcnn.errors import OptionError
from tiny import tiny_model

BODIES = [("test_resnet", (1, 2, 3, 4)), ("tf_efficientnet_lite0", (1, 2, 3, 4)), (MOBILENET, (4, 5))]


@pytest.mark.parametrize(("name", "levels"), [*BODIES, ("test_resnet", (3,)), (MOBILENET, (0, 1, 2, 3, 4, 5))])
def test_feature_maps_have_the_promised_channels_and_strides(name: str, levels: tuple[int, ...]) -> None:
    body = build_body(name, levels, frozen_stages=0)
    features = body(torch.zeros(1, 3, 64, 96))
    shapes = [tuple(feature.shape) for feature in features]
    promised = zip(body.channels, body.strides, strict=True)
    assert shapes == [(1, channels, 64 // stride, 96 // stride) for channels, stride in promised]


def test_strides_of_the_bodies_of_the_presets() -> None:
    # FPN: levels P2 to P5 of strides 2^2 to 2^5.
    assert build_body("tf_efficientnet_lite0", (1, 2, 3, 4), 0).strides == (4, 8, 16, 32)
    assert build_body("resnet50", (1, 2, 3, 4), 0).strides == (4, 8, 16, 32)
    assert build_body("resnet50", (1, 2, 3, 4), 0).channels == (256, 512, 1024, 2048)
    assert build_body(MOBILENET, (4, 5), 0).strides == (32, 32)
    assert build_body(MOBILENET, (4, 5), 0).channels == (160, 960)


def reached_by_stage(name: str, stage: int) -> set[str]:
    """Parameters that the feature map of a stage depends on, found by its gradient."""
    body = build_body(name, (stage,), frozen_stages=0)
    body(torch.rand(2, 3, 64, 64))[0].sum().backward()
    return {name for name, parameter in body.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("name", ["test_resnet", "tf_efficientnet_lite0"])
@pytest.mark.parametrize("stages", [1, 2, 3])
def test_frozen_are_exactly_the_parameters_of_the_first_stages(name: str, stages: int) -> None:
    body = build_body(name, (1, 2, 3, 4), frozen_stages=stages)
    frozen = {name for name, parameter in body.named_parameters() if not parameter.requires_grad}
    # Stage n gives feature map n - 1: the stem gives map 0.
    assert frozen == reached_by_stage(name, stages - 1)


def test_frozen_stages_of_resnet50_are_stem_and_layer1() -> None:
    body = build_body("resnet50", (1, 2, 3, 4), frozen_stages=2)
    frozen = {name.split(".")[1] for name, parameter in body.named_parameters() if not parameter.requires_grad}
    trained = {name.split(".")[1] for name, parameter in body.named_parameters() if parameter.requires_grad}
    assert (frozen, trained) == ({"conv1", "bn1", "layer1"}, {"layer2", "layer3", "layer4"})


def test_no_stage_or_all_stages_frozen() -> None:
    for name, levels, stages in (("test_resnet", (1, 2, 3, 4), 5), (MOBILENET, (4, 5), 6)):
        assert all(each.requires_grad for each in build_body(name, levels, 0).parameters())
        assert not any(each.requires_grad for each in build_body(name, levels, stages).parameters())


def test_frozen_stages_of_mobilenet_end_before_the_block_that_begins_the_next() -> None:
    # torchvision trains 3 of MobileNet's 6 stages: blocks 0 to 6 stay as they are, 7 to 16 are trained.
    body = build_body(MOBILENET, (4, 5), frozen_stages=3)
    trained = {int(name.split(".")[1]) for name, each in body.named_parameters() if each.requires_grad}
    assert trained == set(range(7, 17))


def test_frozen_stages_stay_and_later_stages_are_trained() -> None:
    model = tiny_model(backbone={"frozen_stages": 2})
    before = {name: each.detach().clone() for name, each in model.backbone.body.named_parameters()}
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=0.1)
    features = model.backbone(torch.rand(1, 3, 64, 64))
    torch.stack([each.square().mean() for each in features]).sum().backward()
    optimizer.step()
    changed = {n.split(".")[1] for n, each in model.backbone.body.named_parameters() if not each.equal(before[n])}
    assert changed == {"layer2", "layer3", "layer4"}


@pytest.mark.parametrize(
    ("name", "levels", "frozen", "words"),
    [
        ("no_such_network", (1, 2), 0, "backbone.body 'no_such_network'"),
        ("test_resnet", (1, 9), 0, "levels (1, 9)"),
        ("test_resnet", (2, 4), 0, "strides (8, 32)"),
        ("test_resnet", (4, 3), 0, "strides"),
        ("test_resnet", (1, 2), 6, "backbone.frozen_stages is 6; 'test_resnet' has 5 stages"),
        (MOBILENET, (4, 6), 0, "levels 0 to 5"),
        (MOBILENET, (4, 5), 7, "has 6 stages"),
    ],
)
def test_what_a_body_does_not_have_is_an_error(name: str, levels: tuple[int, ...], frozen: int, words: str) -> None:
    with pytest.raises(OptionError) as caught:
        build_body(name, levels, frozen)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bodies_are_modules_with_random_weights() -> None:
    torch.manual_seed(0)
    one = build_body("test_resnet", (1, 2), 0)
    two = build_body("test_resnet", (1, 2), 0)
    assert isinstance(one, nn.Module)
    weights = zip(one.parameters(), two.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in weights)
