from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch

from faster_rcnn.errors import OptionError
from faster_rcnn.inference.limits import Target, names_in, refuse_below_one, refuse_limits, refuse_share, target_of
from faster_rcnn.inference.tiles import tiling_of


@pytest.fixture(autouse=True)
def _types_unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch type checks off, as for users."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (0, "E125 batch 0: 1 image or more are detected together"),
        (2.5, "E125 batch 2.5 is no integer"),
        ("4", "E125 batch '4' is text; it must be a number: batch=4"),
    ],
)
def test_a_batch_is_an_integer_from_1_on(batch: Any, message: str) -> None:
    refuse_limits(0.5, None, 1)
    with pytest.raises(OptionError) as raised:
        refuse_limits(0.5, None, batch)
    assert str(raised.value) == message


@pytest.mark.parametrize("conf", [0, 1, 0.5, np.float32(0.5), np.float64(0.25), np.int64(1)])
@pytest.mark.parametrize("max_detections", [None, 1, np.int32(7)])
def test_numbers_of_any_kind(conf: Any, max_detections: Any) -> None:
    refuse_limits(conf, max_detections)


@pytest.mark.parametrize(
    ("conf", "max_detections", "message"),
    [
        ("0.5", None, "conf '0.5' is text; it must be a number: conf=0.5"),
        (" 1e-1 ", None, "conf ' 1e-1 ' is text; it must be a number: conf=1e-1"),
        (
            "high",
            None,
            "conf high: it is a number between 0 and 1, auto, or a target such as precision=0.95 or recall=0.9",
        ),
        (None, None, "conf None is of type NoneType; it must be a number"),
        (True, None, "conf True is of type bool; it must be a number"),
        (float("nan"), None, "conf nan: scores are between 0 and 1"),
        (50, None, "conf 50: scores are between 0 and 1; 50 % is 0.5"),
        (0.5 + 0j, None, r"conf \(0\.5\+0j\) is of type complex; it must be a number"),
        (torch.tensor(0.5), None, "conf tensor.* is of type Tensor; it must be a number"),
        (Decimal("0.5"), None, "conf Decimal.* is of type Decimal; it must be a number"),
        (0.5, "10", "max-det '10' is text; it must be a number: max_det=10"),
        (0.5, True, "max-det True is of type bool; it must be a number"),
        (0.5, 2.5, "max-det 2.5 is no integer"),
        (0.5, 0, "max-det 0: an image can have 1 detection or more"),
    ],
)
def test_values_that_are_no_limits_are_refused(conf: Any, max_detections: Any, message: str) -> None:
    with pytest.raises(OptionError, match=rf"^E125 {message}$"):
        refuse_limits(conf, max_detections)


@pytest.mark.parametrize(
    ("tile", "overlap", "message"),
    [
        ("800", None, "tile '800' is text; it must be a number: tile=800"),
        (800, "0.2", "overlap '0.2' is text; it must be a number: overlap=0.2"),
        (None, "0.2", "overlap '0.2' is text"),
        (True, None, "tile True is of type bool"),
        (float("nan"), None, "tile nan"),
        (800, float("nan"), "overlap nan: it is a share"),
    ],
)
def test_tiles_are_numbers_too(tile: Any, overlap: Any, message: str) -> None:
    with pytest.raises(OptionError, match=rf"^E125 {message}"):
        tiling_of(tile, overlap)
    numbers: list[Any] = [np.int64(800), np.float32(0.25)]
    tiles = tiling_of(*numbers)
    assert tiles is not None
    assert (tiles.side, tiles.overlap) == (800, 0.25)


def test_any_share_has_its_own_name() -> None:
    with pytest.raises(OptionError, match=r"^E125 iou 45: IoUs are between 0 and 1; 45 % is 0\.45$"):
        refuse_share("iou", 45, "IoUs are")


def test_a_list_names_what_is_known_each_once() -> None:
    assert names_in("--save", "voc, coco,voc", ("coco", "voc"), "format") == ("voc", "coco")
    with pytest.raises(OptionError, match="E125 --save coco,: there is no format ''; formats are coco, voc"):
        names_in("--save", "coco,", ("coco", "voc"), "format")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "E125 every 0: it is 1 for all"),
        (-3, "E125 every -3: it is 1 for all"),
        (1.5, "E125 every 1.5 is no integer"),
    ],
)
def test_a_number_below_one_is_refused_with_its_rule(value: int, message: str) -> None:
    with pytest.raises(OptionError) as error:
        refuse_below_one("every", value, "it is 1 for all")
    assert str(error.value) == message


def test_one_and_more_are_taken() -> None:
    refuse_below_one("every", 1)
    refuse_below_one("every", np.int64(7))  # type: ignore[arg-type]


def test_rules_for_scores_are_read() -> None:
    assert target_of("auto") is None
    assert target_of("precision=0.95") == Target("precision", 0.95)
    for text, message in (
        ("precision=much", "E125 conf precision=much: a precision is a number, such as precision=0.9"),
        ("recall=95", "E125 conf recall 95: a recall is between 0 and 1; 95 % is 0.95"),
        (
            "f1=0.5",
            "E125 conf f1=0.5: it is a number between 0 and 1, auto, or a target such as precision=0.95 or recall",
        ),
    ):
        with pytest.raises(OptionError, match=f"^{re.escape(message)}"):
            refuse_limits(text, None)
