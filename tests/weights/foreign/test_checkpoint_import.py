"""The table of an imported checkpoint, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.errors import OptionError
from faster_rcnn.weights.foreign.checkpoint_import import _text, import_checkpoint, table_of
from faster_rcnn.weights.foreign.layouts import Fit


def test_the_table_accounts_for_every_tensor() -> None:
    parts = {"body": (3, 4), "second stage": (2, 2)}
    lines = table_of(Fit(parts=parts, missing=("body.x",), left_over=("head.y", "head.z"), not_needed=1))
    assert lines == [
        "body              3 of 4 tensors",
        "second stage      2 of 2 tensors",
        # 5 found, 2 left over and a constant are 8.
        "8 tensors in the file, 5 with a place, 1 constants and counters not needed, 1 missing, 2 left over",
    ]


def test_settings_are_written_as_options_take_them() -> None:
    assert _text(((32.0, 64.0), (0.5, 1 / 3))) == "[[32,64],[0.5,0.333333]]"
    assert _text(True) == "true"
    assert _text("plain") == '"plain"'


def test_a_floor_that_only_training_can_choose_is_refused(tmp_path: Path) -> None:
    layout = "torchvision:fasterrcnn_resnet50_fpn"
    with pytest.raises(OptionError, match=r"E125 --set rpn\.score_floor=auto: only training chooses a floor"):
        import_checkpoint(tmp_path / "gone.pth", layout=layout, settings=["rpn.score_floor=auto"])
