"""Fetching published weights: one try with short waits, so that a machine without a network is told so at once."""

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
"""How long a server may be silent."""

FAILURES = (OSError, RuntimeError, http.client.HTTPException)
"""What fetching raises: no route, no answer, a broken transfer, or (RuntimeError) a checksum that is not right."""


@contextmanager
def downloading() -> Iterator[None]:
    """While this lasts, connections that are silent for ``SECONDS`` fail, and what is printed goes to stderr.

    torch.hub has no option for either: it prints the address to standard output, where results belong.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SECONDS)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        socket.setdefaulttimeout(before)


def hub_answers() -> bool:
    """Whether timm's hub of weights can be reached; asked first because its client retries for most of a minute."""
    request = urllib.request.Request(os.environ.get("HF_ENDPOINT", "https://huggingface.co"), method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):
            return True
    except HTTPError:
        return True  # a server that refuses is a server that answers
    except FAILURES:
        return False


def reason(error: BaseException) -> str:
    """Why fetching failed, in one line."""
    cause = getattr(error, "reason", None) or error
    return str(getattr(cause, "strerror", None) or cause or type(error).__name__).splitlines()[0]
