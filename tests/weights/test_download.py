"""Downloads time out, print to standard error, and give a reason in one line when they fail."""

from __future__ import annotations

import contextlib
import io
import socket
import urllib.request
from email.message import Message
from urllib.error import HTTPError, URLError

import pytest

from faster_rcnn.weights.download import SECONDS, downloading, hub_answers, reason


def test_a_download_has_a_timeout_and_leaves_standard_output_alone(capsys: pytest.CaptureFixture[str]) -> None:
    before = socket.getdefaulttimeout()
    with downloading():
        assert socket.getdefaulttimeout() == SECONDS
        print("Downloading: https://")
    with contextlib.suppress(OSError), downloading():
        raise OSError("no route")
    assert socket.getdefaulttimeout() == before
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "Downloading: https://\n")


@pytest.mark.parametrize(
    ("error", "answers"),
    [
        (None, True),
        (HTTPError("https://x", 403, "forbidden", Message(), None), True),  # an error status is an answer, too
        (URLError("no route"), False),
        (TimeoutError(), False),
    ],
)
def test_the_hub_answers_unless_the_connection_fails(
    error: Exception | None, answers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def urlopen(request: urllib.request.Request, timeout: float) -> io.BytesIO:
        assert (request.get_method(), request.full_url, timeout) == ("HEAD", "https://hub.example", SECONDS)
        if error is not None:
            raise error
        return io.BytesIO()

    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")
    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    assert hub_answers() == answers


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (URLError(OSError(113, "No route to host")), "No route to host"),
        (URLError("unknown url type"), "unknown url type"),
        (RuntimeError("invalid hash value\n(expected 1)"), "invalid hash value"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_the_reason_is_one_line(error: Exception, text: str) -> None:
    assert reason(error) == text
