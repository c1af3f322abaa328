from __future__ import annotations

import pytest
import torch

from faster_rcnn.building import build_model
from faster_rcnn.structures import ClassMap
from faster_rcnn.training.initial_weights import Parts, initialise
from faster_rcnn.weights.model_file import LoadedModel
from tiny import tiny_config

CLASSES = ClassMap(("dark", "light"), (3, 7))


def trained() -> LoadedModel:
    torch.manual_seed(1)
    return LoadedModel(build_model(tiny_config(), 2), tiny_config(), CLASSES)


def test_parts_of_a_detector_are_copied_and_the_rest_stays_new() -> None:
    start, config = trained(), tiny_config()
    torch.manual_seed(2)
    model = build_model(config, 2)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    line = initialise(model, config, CLASSES, Parts(start, ("backbone.", "roi."), "step 2"))
    assert line == "weights of step 2: backbone, roi"
    given = start.model.state_dict()
    for name, each in model.state_dict().items():
        source = before if name.startswith("rpn.") else given
        torch.testing.assert_close(each, source[name], rtol=0, atol=0)
    assert not torch.equal(before["roi.classes.weight"], given["roi.classes.weight"])


def test_a_whole_detector_is_fine_tuned() -> None:
    config = tiny_config()
    line = initialise(build_model(config, 2), config, CLASSES, trained())
    assert line.startswith("weights taken over: 100% of the backbone")


def test_without_a_start_the_settings_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config()
    model = build_model(config, 2)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    assert initialise(model, config, CLASSES, None) == f"body {config.backbone.body}: random weights"
    for name, each in model.state_dict().items():
        torch.testing.assert_close(each, before[name], rtol=0, atol=0)
    monkeypatch.setattr("faster_rcnn.training.initial_weights.load_pretrained", lambda *_: "ImageNet weights")
    pretrained = config.model_copy(update={"backbone": config.backbone.model_copy(update={"weights": "imagenet"})})
    assert initialise(model, pretrained, CLASSES, None) == "ImageNet weights"
