"""Settings of inference in a trained detector: those that there are, and the refusal of all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jaxtyping
import pytest

from faster_rcnn.errors import OptionError
from faster_rcnn.settings.inference import INFERENCE_SETTINGS, with_inference_settings
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.resolve import all_keys
from faster_rcnn.settings.schema import Config

BASE = preset("base")


def changed(config: Config) -> dict[str, Any]:
    """The values that differ from those of the preset ``base``, by their keys."""
    before, after = BASE.model_dump(), config.model_dump()
    found = {key: after[key.split(".")[0]][key.split(".")[1]] for key in all_keys()}
    return {key: value for key, value in found.items() if value != before[key.split(".")[0]][key.split(".")[1]]}


def refused(*settings: Any, config: Config = BASE) -> str:
    with pytest.raises(OptionError) as caught:
        with_inference_settings(config, settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def of_kind(kind: str) -> Config:
    return BASE.model_copy(update={"detector": BASE.detector.model_copy(update={"kind": kind})})


@pytest.mark.parametrize("nothing", [None, (), []])
def test_without_settings_nothing_changes(nothing: Sequence[str] | None) -> None:
    assert with_inference_settings(BASE, nothing) == BASE


def test_only_the_settings_that_are_given_change() -> None:
    config = with_inference_settings(BASE, ["rpn.nms_iou=0.8", "roi.max_detections=7", "image.short_side=640"])
    assert changed(config) == {"rpn.nms_iou": 0.8, "roi.max_detections": 7, "image.short_side": 640}
    assert changed(with_inference_settings(BASE, "roi.score_floor=0.2")) == {"roi.score_floor": 0.2}


def test_every_setting_of_inference_exists_and_can_be_given() -> None:
    """Each has another value than in ``base``, so all of them and nothing else change."""
    assert set(INFERENCE_SETTINGS) <= set(all_keys())
    numbers = {
        "image.short_side": 700,
        "image.long_side": 1400,
        "rpn.proposals_before_nms": 2000,
        "rpn.proposals_after_nms": 500,
        "rpn.nms_iou": 0.8,
        "rpn.min_side": 2.0,
        "rpn.score_floor": 0.1,
        "roi.score_floor": 0.1,
        "roi.min_side": 2.0,
        "roi.nms_iou": 0.6,
        "roi.max_detections": 50,
    }
    assert tuple(numbers) == INFERENCE_SETTINGS
    config = with_inference_settings(BASE, [f"{key}={value}" for key, value in numbers.items()])
    assert changed(config) == numbers


@pytest.mark.parametrize("key", [key for key in all_keys() if key not in INFERENCE_SETTINGS])
def test_settings_of_training_and_of_the_weights_are_refused(key: str) -> None:
    assert refused(f"{key}=1").startswith(
        f"E125 --set {key}=1: this setting belongs to training or to the weights, and changes nothing in a trained "
        "detector; the settings of inference are image.short_side, image.long_side, rpn.proposals_before_nms, "
    )


def test_unknown_settings_are_refused_with_the_likeliest_one() -> None:
    assert refused("rpn.nms_io=0.8").startswith(
        "E125 --set rpn.nms_io=0.8: there is no such setting; did you mean 'rpn.nms_iou'?; the settings of inference "
    )
    assert "there is no such setting; the settings of inference are" in refused("preset=small")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("rpn.nms_iou=2", "E125 --set rpn.nms_iou=2: it must be less than or equal to 1"),
        ("rpn.nms_iou", "E125 --set rpn.nms_iou: a setting is written section.key=value"),
        ("roi.max_detections=many", "E125 --set roi.max_detections=many: it must be a valid integer"),
        ("image.short_side=2000", "E125 --set image.short_side=2000: image.short_side 2000 exceeds image.long_side "),
    ],
)
def test_values_that_do_not_fit_are_refused(setting: Any, message: str) -> None:
    assert refused(setting).startswith(message)


def test_a_floor_that_only_training_can_choose_is_refused() -> None:
    assert refused("rpn.score_floor=auto") == (
        "E125 --set rpn.score_floor=auto: only training chooses a floor, by the objects of its validation split; "
        "give a number, such as rpn.score_floor=0.1, or train with --set rpn.score_floor=auto"
    )
    assert refused("rpn.score_floor=most").startswith("E125 --set rpn.score_floor=most: it must be a valid number")
    assert refused("rpn.score_floor=1").startswith("E125 --set rpn.score_floor=1: it must be less than 1")


def test_what_is_no_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    assert refused(5) == "E125 settings 5: a setting is text, such as 'rpn.nms_iou=0.8'; give a list of them"


def test_two_values_of_one_setting_are_refused() -> None:
    assert refused("roi.nms_iou=0.4", "roi.nms_iou=0.6").endswith("contradict each other: give one")


def test_settings_of_a_stage_that_the_detector_lacks_are_refused() -> None:
    assert refused("roi.nms_iou=0.4", config=of_kind("rpn")) == (
        "E125 --set roi.nms_iou=0.4: this detector has detector.kind=rpn, without a second stage that could read it; "
        "leave it out"
    )
    assert "without a first stage" in refused("rpn.nms_iou=0.4", config=of_kind("fast-rcnn"))
    assert with_inference_settings(of_kind("rpn"), ["rpn.nms_iou=0.4"]).rpn.nms_iou == 0.4
