from __future__ import annotations

import logging
import math

import pytest
import torch

from faster_rcnn.building import build_model
from faster_rcnn.structures import ClassMap
from faster_rcnn.training.callback import StepEnd
from faster_rcnn.training.first_losses import FirstLosses, expected_losses
from faster_rcnn.training.initial_weights import Parts
from faster_rcnn.weights.model_file import LoadedModel
from tiny import random_image, tiny_config, tiny_preset, training_batch, truth_of

TRAINED = LoadedModel(build_model(tiny_config(), 3), tiny_config(), ClassMap(("a", "b", "c"), (1, 2, 3)))
BATCH = training_batch([random_image(192, 256)], [truth_of([[10, 10, 90, 110]])], [0])


def test_expected_losses_are_those_of_layers_that_are_new() -> None:
    both = {"rpn_objectness": math.log(2), "roi_class": math.log(4)}
    assert expected_losses(3, None) == both
    assert expected_losses(3, TRAINED) == {}
    assert expected_losses(3, Parts(TRAINED, ("backbone.",), "step 2")) == both
    assert set(expected_losses(3, Parts(TRAINED, ("backbone.", "roi."), "step 2"))) == {"rpn_objectness"}


def warnings_of(losses: dict[str, float], caplog: pytest.LogCaptureFixture, step: int = 1) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="faster_rcnn"):
        FirstLosses(3, None).on_step_end(StepEnd(1, step, losses, sum(losses.values()), 0.1, 4))
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("name", ["small", "fast", "base", "base-v2", "mobile-320", "paper", "c4"])
def test_new_detectors_of_all_presets_begin_as_expected(name: str, caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    losses = {key: float(value.detach()) for key, value in build_model(tiny_preset(name), 3)(BATCH).named().items()}
    assert warnings_of(losses, caplog) == []


def test_a_loss_that_is_off_is_named_with_its_value(caplog: pytest.LogCaptureFixture) -> None:
    usual = {"rpn_objectness": 0.70, "rpn_box": 9.0, "roi_class": 1.4, "roi_box": 9.0}
    assert warnings_of(usual, caplog) == []
    [message] = warnings_of({**usual, "roi_class": 2.5}, caplog)
    assert message.startswith("the first roi_class loss is 2.5, and that of new weights is 1.39, ln 4: ")
    [message] = warnings_of({**usual, "rpn_objectness": 0.2}, caplog)
    assert message.startswith("the first rpn_objectness loss is 0.2, and that of new weights is 0.693, ln 2: ")
    assert len(warnings_of({**usual, "rpn_objectness": math.nan, "roi_class": math.inf}, caplog)) == 2
    assert warnings_of({"rpn_objectness": 0.7}, caplog) == []  # a detector of one stage
    assert warnings_of({**usual, "rpn_objectness": 0.0}, caplog) == []  # no anchor was sampled
    assert warnings_of({**usual, "roi_class": 2.5}, caplog, step=2) == []


def test_images_that_are_not_normalized_are_noticed(caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    model = build_model(tiny_config(image={"std": (0.0005, 0.0005, 0.0005)}), 3)
    losses = {key: float(value.detach()) for key, value in model(BATCH).named().items()}
    assert any("far from normalized" in message for message in warnings_of(losses, caplog))
