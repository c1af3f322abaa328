from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

from faster_rcnn.errors import MissingExtraError, OptionError
from faster_rcnn.serving.http import options
from faster_rcnn.serving.http.options import Limits, ServeOptions, read_keys, read_token, refuse_port, require_server

KEY = "0123456789abcdef"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"megabytes": 0}, "E125 max-megabytes 0: it must be 1 or more"),
        ({"megapixels": -1}, "E125 max-megapixels -1: it must be 1 or more"),
        ({"images": 0}, "E125 max-images 0: it must be 1 or more"),
        ({"queue": 0}, "E125 queue 0: it must be 1 or more"),
        ({"timeout": 0.0}, "E125 timeout 0: an answer takes some seconds, such as 30"),
        ({"timeout": float("inf")}, "E125 timeout inf: an answer takes some seconds, such as 30"),
    ],
)
def test_a_limit_that_lets_nothing_through_is_refused(values: dict[str, Any], line: str) -> None:
    with pytest.raises(OptionError) as refused:
        Limits(**values)
    assert str(refused.value) == line


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (
            {"conf": "best"},
            "E125 conf best: it is a number between 0 and 1, auto, or a target such as precision=0.95 or recall=0.9",
        ),
        ({"conf": 50}, "E125 conf 50: scores are between 0 and 1; 50 % is 0.5"),
        ({"max_det": 0}, "E125 max-det 0: an image can have 1 detection or more"),
        ({"workers": 0}, "E125 workers 0: it must be 1 or more"),
        ({"batch": 0}, "E125 batch 0: it must be 1 or more"),
        (
            {"label_studio": "localhost:8080"},
            "E125 label-studio localhost:8080: give its address, such as http://localhost:8080",
        ),
        ({"label_studio_key": "k"}, "label-studio-key-file has no use without --label-studio, the address it is for"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(values: dict[str, Any], line: str) -> None:
    with pytest.raises(OptionError) as refused:
        ServeOptions("m", **values)
    assert str(refused.value) == line


def test_a_secret_is_not_shown() -> None:
    shown = repr(ServeOptions("m", keys=(KEY,), label_studio="http://a", label_studio_key="secret"))
    assert KEY not in shown
    assert "secret" not in shown


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_number_that_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(OptionError, match=f"E125 port {port}: ports are 1 to 65535, or 0 for a free one"):
        refuse_port(port)
    refuse_port(0)
    refuse_port(65535)


@pytest.mark.parametrize("package", options.PACKAGES)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(options, "find_spec", lambda name: None if name == package else found(name))
    with pytest.raises(MissingExtraError) as missing:
        require_server()
    named = package.replace("_", "-")
    assert str(missing.value) == f"this needs the package '{named}': pip install 'faster-rcnn[serve]'"


def test_keys_are_lines_without_comments(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# of the camera\n{KEY}\n\n  {KEY}2  \n")
    assert read_keys(file) == (KEY, f"{KEY}2")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "holds no key; write one a line"),
        (b"# none\n", "holds no key; write one a line"),
        (b"short\n", "line 1: a key is 16 letters, digits and signs or more, without a space"),
        (KEY.encode() + b"\n" + KEY.encode() + b" x\n", "line 2: a key is 16 letters"),
        ("äääääääääääääääää".encode(), "line 1: a key is 16 letters"),
        (b"\xff" * 20, "is no text in UTF-8"),
    ],
)
def test_a_file_without_good_keys_is_refused_without_showing_them(tmp_path: Path, content: bytes, line: str) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    with pytest.raises(OptionError) as refused:
        read_keys(file)
    assert f"{file}" in str(refused.value)
    assert line in str(refused.value)
    assert "short" not in str(refused.value)
    assert KEY not in str(refused.value)


def test_a_token_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("abc\n\n")
    assert read_token(file) == "abc"
    file.write_text("a\nb\n")
    with pytest.raises(OptionError, match="holds 2 lines; write the token of Label Studio, and no more"):
        read_token(file)
    with pytest.raises(OptionError, match=r"E125 cannot read .*: No such file or directory"):
        read_token(tmp_path / "none")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_without_a_writer_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "keys")
    with pytest.raises(OptionError, match=r"E125 cannot read .*keys: it is a named pipe, not a file"):
        read_keys(tmp_path / "keys")
