"""Download of published weights: one attempt with short timeouts, so that a machine without internet fails at once."""

from __future__ import annotations

import http.client
import os
import socket
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from urllib.error import HTTPError

SECONDS = 10.0
"""Timeout: how long a server may send nothing."""

FAILURES = (OSError, RuntimeError, http.client.HTTPException)
"""Exceptions of a failed download: no route, no answer, a broken transfer, or (RuntimeError) a wrong checksum."""


@contextmanager
def downloading() -> Iterator[None]:
    """Within this context connections time out after ``SECONDS``, and print goes to stderr.

    torch.hub has no option for either, and prints the address to standard output, where results belong.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SECONDS)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        socket.setdefaulttimeout(before)


def hub_server() -> str:
    """The address of the Hugging Face Hub: that of the environment variable ``HF_ENDPOINT``, else huggingface.co."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def hub_answers() -> bool:
    """Whether the hub of weights answers; checked first, because the hub's client retries for most of a minute."""
    request = urllib.request.Request(hub_server(), method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):
            return True
    except HTTPError:
        return True  # an error status is an answer, too
    except FAILURES:
        return False


def reason(error: BaseException) -> str:
    """Why a download failed, in one line."""
    cause = getattr(error, "reason", None) or error
    text = str(getattr(cause, "strerror", None) or cause).strip() or type(cause).__name__
    return text.splitlines()[0]
