"""Strides and channels as promised, frozen stages, and errors for levels and stages that a body does not have."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from faster_rcnn.backbone.body import MOBILENET, build_body
from faster_rcnn.backbone.norm import norms
from faster_rcnn.cli.main import main
from faster_rcnn.errors import OptionError
from made_data import make_squares
from tiny import tiny_model

BODIES = [
    ("test_resnet", (1, 2, 3, 4)),
    ("tf_efficientnet_lite0", (1, 2, 3, 4)),
    ("convnext_atto", (0, 1, 2, 3)),
    ("regnetx_002", (3,)),
    ("mobilevit_xxs", (3,)),
    (MOBILENET, (4, 5)),
]
VIT = "vit_tiny_patch16_224"
SWIN = "swin_tiny_patch4_window7_224"


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
        ("hrnet_w18_small", (1, 2, 3, 4), 2, "none can be kept from training; --set backbone.frozen_stages=0"),
        (MOBILENET, (4, 6), 0, "levels 0 to 5"),
        (MOBILENET, (4, 5), 7, "has 6 stages"),
    ],
)
def test_missing_levels_and_stages_are_an_error(name: str, levels: tuple[int, ...], frozen: int, words: str) -> None:
    with pytest.raises(OptionError) as caught:
        build_body(name, levels, frozen)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "levels", "words"),
    [
        # The smallest odd multiple of 16 that is 64 or more is 80, the next one 112; of 32: 96 and 160.
        (VIT, (11,), "multiples of 16 pixels, and does not: one of 80 x 112 stops it (Input height (80) doesn't match"),
        (VIT, (11,), "take another, such as --set backbone.body=resnet50"),
        (SWIN, (0, 1, 2, 3), "multiples of 32 pixels, and does not: one of 96 x 160 stops it"),
        # Its convolutions do not pad: 80 x 112 becomes 3 x 5, not 80 / 16 = 5 by 112 / 16 = 7.
        ("inception_v3", (3,), "one of 80 x 112 gives features (768, 3, 5) at stride 16, not (768, 5, 7)"),
        # Its coarsest branch, of stride 32, is added to the others whichever level is asked for.
        ("hrnet_w18_small", (3,), "it takes multiples of 32: --set image.multiple_of=32"),
    ],
)
def test_bodies_that_do_not_take_images_of_any_size_are_refused(name: str, levels: tuple[int, ...], words: str) -> None:
    with pytest.raises(OptionError) as caught:
        build_body(name, levels, 0)
    assert f"backbone.body '{name}' must take images of any size, padded to" in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_larger_multiple_that_a_message_names_mends_it() -> None:
    body = build_body("hrnet_w18_small", (3,), 0, multiple=32)
    assert [each.shape[2:] for each in body(torch.zeros(1, 3, 96, 160))] == [(6, 10)]


@pytest.mark.parametrize("name", ["test_resnet", "convnext_atto"])
def test_sides_need_not_be_multiples_of_the_stride(name: str) -> None:
    assert build_body(name, (3,), 0, multiple=1).strides[0] > 1


def test_trying_a_new_body_leaves_no_trace() -> None:
    body = build_body("test_resnet", (1, 2, 3, 4), 0)
    assert all(module.training for module in body.modules())
    assert all(not each.running_mean.any() for each in norms(body) if each.running_mean is not None)
    with torch.device("meta"):
        assert build_body("test_resnet", (3,), 0).strides == (16,)


@pytest.mark.parametrize("neck", ["none", "pyramid"])
def test_the_command_refuses_a_transformer(neck: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_squares(tmp_path / "data", {"train": 2, "val": 1})
    body = f"--set backbone.body={VIT} backbone.levels=[11] backbone.neck={neck} backbone.weights=none"
    assert main(["train", str(data), *body.split(), "--out", str(tmp_path / "run")]) == 2
    assert f"backbone.body '{VIT}' must take images of any size" in capsys.readouterr().err.splitlines()[-1]


def test_bodies_are_modules_with_random_weights() -> None:
    torch.manual_seed(0)
    one = build_body("test_resnet", (1, 2), 0)
    two = build_body("test_resnet", (1, 2), 0)
    assert isinstance(one, nn.Module)
    weights = zip(one.parameters(), two.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in weights)
