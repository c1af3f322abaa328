"""Each setting is checked by its type, and an error names the origin of the value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from faster_rcnn.errors import OptionError
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.resolve import resolve_config
from faster_rcnn.settings.validation import Setting, validated


def test_numbers_of_numpy_are_numbers_and_numbers_as_text_are_not() -> None:
    flags = {"epochs": np.int64(3), "lr": np.float32(0.5), "batch": np.uint8(2)}
    training = resolve_config(None, None, (), flags).training
    assert (training.epochs, training.lr, training.batch) == (3, 0.5, 2)
    for flag, value in (("epochs", "3"), ("epochs", np.float64(2.5)), ("batch", True), ("lr", "0.5"), ("seed", 1.5)):
        with pytest.raises(OptionError, match=rf"E125 --{flag} {value}: it must be a valid"):
            resolve_config(None, None, (), {flag: value})


def refused(*given: Setting) -> str:
    values: dict[str, Any] = preset("small").model_dump(mode="json")
    for setting in given:
        section, key = setting.key
        values[section][key] = setting.value
    with pytest.raises(OptionError) as raised:
        validated(values, given)
    return str(raised.value)


def test_the_values_of_a_preset_are_valid_as_they_are() -> None:
    assert validated(preset("paper").model_dump(mode="json"), []) == preset("paper")


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        (("training", "lr"), float("nan"), "not a finite number"),
        (("training", "scale_jitter"), [1.0, float("inf")], "not a finite number"),
        (("rpn", "anchor_sizes"), [[32], [64, 10**18]], "it has more than 18 digits"),
        (("training", "lr"), "1e-3", " is text: write 1.0e-3 in YAML"),
        (("training", "lr"), "2.5E4", " is text: write 2.5e+4 in YAML"),
        (("image", "std"), [1.0, 1.0], "too few values, number 3 is missing"),
        (("training", "epochs"), 2.5, "it must be a valid integer or 'auto'"),
        (("training", "batch"), True, "it must be a valid integer or 'auto'"),
    ],
)
def test_a_fault_names_the_origin_of_the_value(key: tuple[str, str], value: object, fault: str) -> None:
    between = "" if fault.startswith(" is text") else ": "
    assert refused(Setting(key, value, "HERE")) == f"E125 HERE{between}{fault}"


def test_both_origins_of_two_settings_in_disorder_are_named() -> None:
    low, high = Setting(("rpn", "negative_iou"), 0.6, "ONE"), Setting(("rpn", "positive_iou"), 0.5, "OTHER")
    assert refused(low, high) == "E125 ONE, OTHER: rpn.negative_iou 0.6 exceeds rpn.positive_iou 0.5"
