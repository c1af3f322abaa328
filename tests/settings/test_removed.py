"""Settings that are gone: old files that hold their defaults still load, and other values are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.errors import OptionError
from faster_rcnn.settings.removed import is_removed, without_removed
from faster_rcnn.settings.resolve import resolve_config


def test_a_file_may_hold_a_removed_setting_at_its_default(tmp_path: Path) -> None:
    file = tmp_path / "old.yaml"
    file.write_text(
        "backbone:\n  pyramid_padding: zeros\nrpn:\n  head: siblings\n  head_padding: zeros\n  nms_iou: 0.6\n"
    )
    assert resolve_config("small", file, (), {}) == resolve_config("small", None, ("rpn.nms_iou=0.6",), {})


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("rpn", "head", "joined"), ("rpn", "head_padding", "reflect"), ("backbone", "pyramid_padding", "circular")],
)
def test_another_value_of_a_removed_setting_is_refused(section: str, key: str, value: str, tmp_path: Path) -> None:
    file = tmp_path / "old.yaml"
    file.write_text(f"{section}:\n  {key}: {value}\n")
    match = rf"^E125 .*old\.yaml line 2: the setting {section}\.{key} was removed, and '{value}' with it.*train anew$"
    with pytest.raises(OptionError, match=match):
        resolve_config("small", file, (), {})
    with pytest.raises(OptionError, match=rf"^E125 --set {section}\.{key}=.*: this setting was removed; leave it out$"):
        resolve_config("small", None, (f"{section}.{key}=zeros",), {})


def test_only_removed_settings_are_left_out() -> None:
    old = {"preset": "base", "rpn": {"head": "siblings", "nms_iou": 0.6}, "roi": {"head": "any"}, "data": None}
    kept = {"preset": "base", "rpn": {"nms_iou": 0.6}, "roi": {"head": "any"}, "data": None}
    assert without_removed(old, "old.safetensors") == kept
    assert "head" in old["rpn"]  # type: ignore[operator]  # what was given is not changed


def test_a_setting_that_exists_may_have_any_value() -> None:
    assert not is_removed(("rpn", "nms_iou"), 0.6, "old.yaml")
    assert is_removed(("rpn", "head_padding"), "zeros", "old.yaml")


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(OptionError, match=r"^E125 old\.yaml: the setting rpn\.head was removed, and '") as raised:
        without_removed({"rpn": {"head": "x" * 10_000}}, "old.yaml")
    assert len(str(raised.value)) < 300
