"""Checks of settings that a user gave: each value by its type, and an error that names its origin."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from faster_rcnn.errors import OptionError
from faster_rcnn.settings.schema import Config

NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+")
"""A number with an exponent; YAML reads it as text unless it has a point and a signed exponent."""

_TOO_LARGE = 10**18
"""Upper bound of numbers: no setting is as large, and torch and other readers of JSON take 64 bits."""

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """One value that the user gave, and its origin."""

    key: Key
    value: Any
    origin: str
    """Such as ``--lr 0.1``, ``--set training.lr=0.1`` or ``run.yaml line 9: lr: 0.1``."""


def _number_fault(value: Any) -> str | None:
    """The reason why a number, or one of a list, fits no setting; ``None`` where it may fit."""
    if isinstance(value, list):
        return next((fault for each in value if (fault := _number_fault(each)) is not None), None)
    if isinstance(value, float) and not isfinite(value):
        return "not a finite number"
    return "it has more than 18 digits" if isinstance(value, int) and abs(value) >= _TOO_LARGE else None


def _plain(value: object) -> object:
    """A NumPy number as a Python number; other objects become text, which the check of types refuses."""
    return value.item() if isinstance(value, np.generic) else str(value)


def validated(values: Mapping[str, Any], given: Sequence[Setting]) -> Config:
    """The configuration that holds ``values``; raises ``OptionError`` (E125) for the first one that does not fit."""
    for setting in given:
        if (fault := _number_fault(setting.value)) is not None:
            raise OptionError(f"{setting.origin}: {fault}", code="E125")
    try:
        # The strict rules of JSON fit YAML: lists make tuples and 1 is a number, but '1' and true are not.
        config = Config.model_validate_json(json.dumps(values, default=_plain), strict=True)
    except ValidationError as error:
        raise OptionError(_first_fault(error.errors(), given), code="E125") from error
    _refuse_disorder(config, given)
    return config


def _refuse_disorder(config: Config, given: Sequence[Setting]) -> None:
    """Raise ``OptionError`` where the lower one of two related settings exceeds the higher one."""
    pairs = {
        ("image.short_side", "image.long_side"): (config.image.short_side, config.image.long_side),
        ("rpn.negative_iou", "rpn.positive_iou"): (config.rpn.negative_iou, config.rpn.positive_iou),
        ("roi.negative_iou_from", "roi.negative_iou"): (config.roi.negative_iou_from, config.roi.negative_iou),
        ("roi.negative_iou", "roi.positive_iou"): (config.roi.negative_iou, config.roi.positive_iou),
        ("the first training.scale_jitter", "the second"): config.training.scale_jitter,
    }
    for (low_name, high_name), (low, high) in pairs.items():
        if low > high:
            origins = [each.origin for each in given if ".".join(each.key) in f"{low_name} {high_name}"]
            raise OptionError(f"{', '.join(origins)}: {low_name} {low} exceeds {high_name} {high}", code="E125")


def _first_fault(faults: Sequence[ErrorDetails], given: Sequence[Setting]) -> str:
    fault = faults[0]
    place = tuple(str(part) for part in fault["loc"])
    origins = [setting for setting in given if place[: len(setting.key)] == setting.key]
    origin = origins[-1].origin if origins else ".".join(place)
    value = fault["input"]
    if isinstance(value, str) and NUMBER.fullmatch(value):
        mantissa, exponent = value.lower().split("e")
        point = mantissa if "." in mantissa else f"{mantissa}.0"
        sign = "" if exponent[0] in "+-" else "+"
        return f"{origin} is text: write {point}e{sign}{exponent} in YAML"
    if fault["type"] == "missing":
        return f"{origin}: too few values, number {int(place[-1]) + 1} is missing"
    # A setting that may be a number or a word has a fault for each.
    of_same = [each for each in faults[1:] if each["loc"][:2] == fault["loc"][:2] and each["type"] == "literal_error"]
    alternatives = ["or " + each["msg"].removeprefix("Input should be ") for each in of_same]
    return " ".join(
        [f"{origin}: {fault['msg'].removeprefix('Value error, ').replace('Input should', 'it must')}", *alternatives]
    )
