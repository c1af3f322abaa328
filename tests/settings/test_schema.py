"""Settings cannot be changed or misspelt, and each of them is documented."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from faster_rcnn.settings.schema import Config, ImageConfig, RpnConfig, Section, TrainingConfig
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


@pytest.mark.parametrize("section", Section.__subclasses__())
def test_every_setting_has_a_description_of_its_own(section: type[Section]) -> None:
    """The settings reference prints them one by one, so none may lean on the one before."""
    nested = {name for name, field in section.model_fields.items() if isinstance(field.default, Section)}
    texts = {name: section.model_fields[name].description or "" for name in section.model_fields.keys() - nested}
    for name, text in texts.items():
        assert text.endswith("."), f"{section.__name__}.{name}"
        assert not text.startswith(("Of ", "The same", "At most this")), f"{section.__name__}.{name}: {text}"
    assert len(set(texts.values())) == len(texts)


def test_sections_are_separate_values() -> None:
    assert tiny_config(image={"short_side": 70}).image == ImageConfig(short_side=70, long_side=128)
    assert tiny_config() == tiny_config()


def test_the_images_of_a_step_are_a_number_once_a_run_has_one() -> None:
    assert TrainingConfig(batch=6).images_per_step == 6
    with pytest.raises(ValueError, match=r"training\.batch is auto, which a run replaces by a number"):
        _ = TrainingConfig(batch="auto").images_per_step
