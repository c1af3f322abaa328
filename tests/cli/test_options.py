"""Values of options, as they are typed."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from cyclopts import App, CycloptsError

from control_groups import container
from faster_rcnn import __version__
from faster_rcnn.cli.options import Integer, IntegerOrAuto, JsonOut, announce, announce_work
from faster_rcnn.system import quota
from faster_rcnn.system.devices import using_threads

COMMANDS = Path(__file__).parents[2] / "src" / "faster_rcnn" / "cli"
NO_NETWORK = {
    "doctor": "a torch that does not load is one of its findings",
    "recall": "compares boxes of files",
    "convert": "copies files",
}
"""Commands that print their first line and leave torch's threads alone, and why."""


def parsed(*tokens: str) -> object:
    """The value that an option of each kind gets."""
    app = App(result_action="return_value")

    @app.default
    def command(*, number: Integer = 0, epochs: IntegerOrAuto = 0, json: JsonOut = None) -> tuple[object, ...]:
        return number, epochs, json

    return app(tokens, exit_on_error=False, print_error=False)


def test_integers_are_exact() -> None:
    assert parsed("--number", "-3") == (-3, 0, None)
    for text in ("2.5", "1e1", "0x4", "three", "1_000"):
        with pytest.raises(CycloptsError):
            parsed("--number", text)


def test_epochs_are_an_integer_or_auto() -> None:
    assert parsed("--epochs", "auto") == (0, "auto", None)
    assert parsed("--epochs", "7") == (0, 7, None)
    with pytest.raises(CycloptsError):
        parsed("--epochs", "many")


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_every_name_of_standard_output_is_a_dash(name: str) -> None:
    assert parsed("--json", name) == (0, 0, "-")


def test_an_option_is_no_file_of_json() -> None:
    assert parsed("--json", "numbers.json") == (0, 0, "numbers.json")
    with pytest.raises(CycloptsError, match="give a file name, or - for standard output"):
        parsed("--json", "--number")


def test_the_first_line_names_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    announce("timing m")
    assert capsys.readouterr().err == f"faster-rcnn {__version__}: timing m\n"


def test_a_command_that_computes_has_the_threads_of_its_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quota, "ROOT", container(tmp_path, "100000 100000"))
    monkeypatch.delenv("OMP_NUM_THREADS")
    with using_threads(2):
        announce_work("timing m")
        assert torch.get_num_threads() == 1
    assert capsys.readouterr().err == f"faster-rcnn {__version__}: timing m\n"


def test_every_command_that_loads_a_network_limits_its_threads() -> None:
    called = {path.stem: announcements(ast.parse(path.read_text())) for path in COMMANDS.glob("*.py")}
    announcing = {name: calls for name, calls in called.items() if calls and name != "options"}
    assert "train" in announcing
    assert announcing == {name: {"announce" if name in NO_NETWORK else "announce_work"} for name in announcing}
    assert set(NO_NETWORK) <= set(announcing)


def announcements(tree: ast.AST) -> set[str]:
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return calls & {"announce", "announce_work"}
