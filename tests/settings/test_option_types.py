"""How texts on the command line become integers, epochs and lists of settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cyclopts import App, CycloptsError

from faster_rcnn.settings.option_types import Integer, IntegerOrAuto, Settings, Switch


@pytest.fixture
def parsed() -> Callable[[str], dict[str, Any]]:
    """Parses a command line by an app with one option of each type."""
    app = App(result_action="return_value")

    @app.default
    def command(
        *, batch: Integer = 2, epochs: IntegerOrAuto = "auto", settings: Settings = None, compile: Switch = False
    ) -> dict[str, Any]:
        return {"batch": batch, "epochs": epochs, "settings": settings, "compile": compile}

    def parse(line: str) -> dict[str, Any]:
        found: dict[str, Any] = app(line.split(), exit_on_error=False, print_error=False)
        return found

    return parse


def test_integers_are_taken_as_they_are_typed(parsed: Callable[[str], dict[str, Any]]) -> None:
    assert [parsed(f"--batch {text}")["batch"] for text in ("8", "+8", "-8", "008")] == [8, 8, -8, 8]
    assert parsed("--epochs 12")["epochs"] == 12
    assert parsed("--epochs auto")["epochs"] == "auto"


@pytest.mark.parametrize("text", ["2.5", "1e3", "0x10", "1_000", "two", "\u0663"])
@pytest.mark.parametrize("option", ["batch", "epochs"])
def test_anything_else_is_no_integer(parsed: Callable[[str], dict[str, Any]], option: str, text: str) -> None:
    with pytest.raises(CycloptsError, match="unable to convert") as raised:
        parsed(f"--{option} {text}")
    assert f'"{text}" into int' in str(raised.value)


def test_each_set_takes_one_setting(parsed: Callable[[str], dict[str, Any]]) -> None:
    assert parsed("")["settings"] is None
    assert parsed("--set a.b=1 --set c.d=2")["settings"] == ["a.b=1", "c.d=2"]


def test_a_switch_has_no_opposite(parsed: Callable[[str], dict[str, Any]]) -> None:
    assert parsed("--compile")["compile"] is True
    with pytest.raises(CycloptsError, match="no-compile"):
        parsed("--no-compile")
