"""``faster-rcnn serve``: what it refuses before it serves, and what it passes on."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from faster_rcnn.cli.main import main
from faster_rcnn.serving.http import options, running
from faster_rcnn.serving.http.options import Limits, ServeOptions
from files import model_file


def line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]


def test_a_port_in_use_is_one_line_and_exit_code_5(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", str(tmp_path / "none"), "--port", str(port)]) == 5
    assert line(capsys).startswith(f"faster-rcnn: error: port {port} of 127.0.0.1 is in use by another program; ")


def test_a_missing_extra_is_one_line_and_exit_code_5(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(options, "find_spec", lambda name: None)
    assert main(["serve", "runs/cells"]) == 5
    assert line(capsys) == ("faster-rcnn: error: this needs the package 'fastapi': pip install 'faster-rcnn[serve]'")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (["--port", "70000"], "E125 port 70000: ports are 1 to 65535"),
        (["--conf", "50"], "E125 conf 50: scores are between 0 and 1"),
        (["--queue", "0"], "E125 queue 0: it must be 1 or more"),
        (["--api-key-file", "none"], "E125 cannot read none: No such file or directory"),
        (["--label-studio-key-file", "keys"], "label-studio-key-file has no use without --label-studio"),
        (["--host", "nowhere.invalid"], "E125 --host nowhere.invalid is no address"),
        (["--port", "0"], "E123 "),
    ],
)
def test_what_makes_no_sense_is_one_line_and_exit_code_2(
    given: list[str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("keys").write_text("0123456789abcdef")
    assert main(["serve", "runs/none", *given]) == 2
    assert text in line(capsys)


def test_options_are_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call: dict[str, Any] = {}
    monkeypatch.setattr(running, "serve", lambda *given: call.update(given=given))
    keys, token = tmp_path / "keys", tmp_path / "token"
    keys.write_text("0123456789abcdef\n")
    token.write_text("secret\n")
    arguments = (
        f"serve runs/pets --host ::1 --port 81 --workers 2 --conf auto --max-det 9 --batch 4 --precision float32 "
        f"--device cpu --set roi.nms_iou=0.6 --api-key-file {keys} --max-megabytes 1 --max-megapixels 2 --max-images 3 "
        f"--queue 5 --timeout 6 --label-studio http://ls --label-studio-key-file {token}"
    )
    assert main(arguments.split()) == 0
    expected = ServeOptions(
        "runs/pets", "auto", 9, "float32", "cpu", ("roi.nms_iou=0.6",), 4, 2, Limits(1, 2, 3, 5, 6.0),
        ("0123456789abcdef",), "http://ls", "secret",
    )  # fmt: skip
    assert call["given"] == (expected, "::1", 81)


def test_a_server_for_others_without_a_key_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(running, "_serve_here", lambda *_: None)
    model = model_file(tmp_path / "tiny.safetensors")
    assert main(["serve", str(model), "--host", "0.0.0.0", "--port", "0"]) == 0
    printed = capsys.readouterr().err
    assert (
        "warning: --host 0.0.0.0: whoever reaches this machine is answered; --api-key-file FILE demands a key"
        in printed
    )
    keys = tmp_path / "keys"
    keys.write_text("0123456789abcdef\n")
    assert main(["serve", str(model), "--host", "0.0.0.0", "--port", "0", "--api-key-file", str(keys)]) == 0
    assert "warning" not in capsys.readouterr().err
