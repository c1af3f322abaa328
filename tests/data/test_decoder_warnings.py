"""What C libraries write to their ``stderr`` while an image is decoded is captured, and nothing else."""

from __future__ import annotations

import ctypes
import os
import sys
import threading

import pytest

from faster_rcnn.data import decoder_warnings as module
from faster_rcnn.data.decoder_warnings import decoder_warnings

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="writes to the C library's stderr")


def c_writes(text: bytes) -> None:
    """Write to the C library's ``stderr``, as libjpeg does."""
    libc = ctypes.CDLL(None)
    libc.fputs.argtypes = (ctypes.c_char_p, ctypes.c_void_p)
    libc.fputs(text, ctypes.c_void_p.in_dll(libc, "stderr"))


def test_lines_of_the_block_are_captured(capfd: pytest.CaptureFixture[str]) -> None:
    c_writes(b"before\n")
    with decoder_warnings() as lines:
        assert lines == []
        c_writes(b"first\n")
        c_writes(b"second\xff\n")
    assert lines == ["first", "second\N{REPLACEMENT CHARACTER}"]
    c_writes(b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"


def test_each_block_has_its_own_lines() -> None:
    with decoder_warnings() as first:
        c_writes(b"one\n")
    with decoder_warnings() as second:
        pass
    with decoder_warnings() as third:
        c_writes(b"two\n")
    assert (first, second, third) == (["one"], [], ["two"])


def test_an_error_in_the_block_restores_the_stream(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), decoder_warnings():
        raise ZeroDivisionError
    c_writes(b"shown\n")
    assert capfd.readouterr().err == "shown\n"


def test_python_writes_to_its_own_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with decoder_warnings() as lines:
        os.write(2, b"of Python\n")
    assert lines == []
    assert capfd.readouterr().err == "of Python\n"


def test_threads_do_not_mix_their_lines() -> None:
    found: dict[int, list[str]] = {}

    def decode(number: int) -> None:
        with decoder_warnings() as lines:
            for _ in range(20):
                c_writes(f"{number}\n".encode())
        found[number] = lines

    threads = [threading.Thread(target=decode, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [str(number)] * 20 for number in range(4)}


def test_without_memory_streams_nothing_is_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_memory_stream", lambda: None)
    with decoder_warnings() as lines:
        pass
    assert lines == []
