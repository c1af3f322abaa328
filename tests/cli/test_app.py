"""The app combines the commands, their help, the version and the completion of shells."""

from __future__ import annotations

import pytest

from faster_rcnn import __version__
from faster_rcnn.cli.app import app
from faster_rcnn.cli.main import main

COMMANDS = (
    *("demo", "train", "evaluate", "predict", "explain"),
    *("proposals", "recall", "compare"),
    *("import", "export", "config", "doctor", "quantize", "benchmark", "completion", "convert", "check", "serve"),
)


def run(line: str) -> int:
    return main(line.split())


def test_the_commands_are_those_of_the_design(capsys: pytest.CaptureFixture[str]) -> None:
    assert {name for name in app if not name.startswith("-")} == set(COMMANDS)
    assert main(["--help"]) == 0
    assert "--debug" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    for line in ("--version", "-V", "version"):
        assert main([line]) == 0
        assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_shells_complete_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"completion {shell}") == 0
    script = capsys.readouterr().out
    assert "quantize" in script
    assert "--max-det" in script or "max-det" in script


def test_help_names_what_is_for_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("--install-completion", "--quiet", "--verbose", "--debug", "-V"))
    assert run("predict --help") == 0
    out = capsys.readouterr().out
    assert "predict [OPTIONS] MODEL SOURCE..." in out
    assert "--quiet" in out
