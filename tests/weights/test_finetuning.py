"""Training from a trained detector: what fits is copied, and classes are matched by name."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from faster_rcnn.building import build_model
from faster_rcnn.errors import ModelFileError
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.schema import Config, DetectorConfig
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.finetuning import load_for_finetuning
from faster_rcnn.weights.model_file import LoadedModel
from tiny import tiny_config, tiny_model


def started(*names: str) -> LoadedModel:
    """A detector of these classes whose weights differ from those of a new one."""
    model = tiny_model(len(names))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5)
    return LoadedModel(model, tiny_config(), ClassMap(names, tuple(range(1, len(names) + 1))))


def test_classes_of_the_same_name_keep_their_rows() -> None:
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
def test_class_agnostic_deltas_are_copied_only_between_class_agnostic_detectors(
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


def test_a_detector_of_one_stage_starts_from_one_of_both_stages() -> None:
    kinds: tuple[tuple[Literal["rpn", "fast-rcnn"], str], ...] = (
        ("rpn", "100% of the first stage;"),
        ("fast-rcnn", "100% of the second stage;"),
    )
    for kind, stages in kinds:
        config = choice(kind, class_agnostic=False)
        line = load_for_finetuning(build_model(config, 1), config, ClassMap(("cat",), (1,)), started("cat"))
        assert f"weights taken over: 100% of the backbone, {stages}" in line
