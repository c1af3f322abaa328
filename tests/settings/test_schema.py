"""Settings cannot be changed or misspelt."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from faster_rcnn.settings.schema import Config, ImageConfig, RpnConfig
from tiny import tiny_config


def test_settings_are_frozen() -> None:
    config = Config()
    with pytest.raises(ValidationError):
        config.rpn.nms_iou = 0.5  # type: ignore[misc]
    with pytest.raises(ValidationError):
        config.rpn = RpnConfig()  # type: ignore[misc]


@pytest.mark.parametrize("values", [{"nms": 0.5}, {"rpn": {"nms_threshold": 0.5}}, {"rpn": {"nms_iou": {"a": 1}}}])
def test_unknown_keys_are_errors(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate(values)


@pytest.mark.parametrize(
    "values",
    [
        {"image": {"short_side": 0}},
        {"image": {"resize": "cubic"}},
        {"backbone": {"levels": ()}},
        {"backbone": {"frozen_stages": -1}},
        {"rpn": {"positive_iou": 0}},
        {"rpn": {"positive_fraction": 1.1}},
        {"rpn": {"anchor_heights_over_widths": ()}},
        {"rpn": {"anchor_sizes": ((0,),)}},
        {"roi": {"score_floor": 1}},
        {"roi": {"delta_weights": (1, 1, 1)}},
        {"training": {"lr": -1}},
    ],
)
def test_values_out_of_range_are_errors(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate(values)


def test_sections_are_separate_values() -> None:
    assert tiny_config(image={"short_side": 70}).image == ImageConfig(short_side=70, long_side=128)
    assert tiny_config() == tiny_config()
