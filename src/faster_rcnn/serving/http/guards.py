"""What stands before all routes: the key, the limit of bytes, faults, the headers of security, and the counts.

They are plain ASGI applications around the next one, so that a body passes through as it arrives.
"""

from __future__ import annotations

import base64
import hmac
import logging
import time
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from faster_rcnn.serving.http.metrics import Counts
from faster_rcnn.serving.http.problems import ProblemError, internal_fault, reply

_LOG = logging.getLogger(__name__)

OPEN = ("/health", "/v2/health/live", "/v2/health/ready")
"""Routes for probes, which need no key."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


class RequireKey:
    """Refuses requests without a key (401), which is ``Authorization: Bearer KEY``, or a browser's password."""

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        """Without keys everyone is answered."""
        self.app = app
        self.keys = [key.encode("ascii") for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or not self.keys or scope["path"] in OPEN:
            await self.app(scope, receive, send)
            return
        given = _key_of(Headers(scope=scope).get("authorization", ""))
        # Every key is compared, so that the time tells nothing.
        if sum(hmac.compare_digest(given, key) for key in self.keys):
            await self.app(scope, receive, send)
            return
        refused = reply(
            401,
            "a key is needed: curl -H 'Authorization: Bearer KEY', or the key as the password of a browser",
            {"WWW-Authenticate": 'Basic realm="faster-rcnn: the key is the password", charset="UTF-8"'},
        )
        await refused(scope, receive, send)


def _key_of(header: str) -> bytes:
    kind, _, value = header.partition(" ")
    if kind.lower() == "bearer":
        return value.strip().encode("utf-8", "replace")
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2]
        except ValueError:
            return b""
    return b""


class LimitBytes:
    """Refuses bodies of more bytes (413), by their declared length or as soon as more arrive."""

    def __init__(self, app: ASGIApp, megabytes: int) -> None:
        """``megabytes``: limit in 2^20 bytes."""
        self.app = app
        self.limit = megabytes * 2**20
        self.text = f"the body has more than the {megabytes} MB that are read; make the image smaller, or send fewer"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count the bytes of its body."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > self.limit:
            await reply(413, self.text)(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.limit:
                raise ProblemError(413, self.text)
            return message

        await self.app(scope, counted, send)


class AnswerFaults:
    """Answers a fault of the server in one line (500), with the headers and the count of every other reply.

    Starlette's own handler of unknown faults stands before all of these guards.
    """

    def __init__(self, app: ASGIApp) -> None:
        """``app``: what may fail."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; a fault after the beginning of the reply is raised, which ends the connection."""
        has_begun = False

        async def noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception as error:
            if scope["type"] != "http" or has_begun:
                raise
            await internal_fault(scope["path"], error)(scope, receive, send)


class CountRequests:
    """Counts replies by route and status with their time, logs each of them, and adds headers of security."""

    def __init__(self, app: ASGIApp, counts: Counts, routes: Sequence[str]) -> None:
        """``routes``: the paths that are counted by themselves; all others are one."""
        self.app = app
        self.counts = counts
        self.routes = frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            seconds = time.perf_counter() - start
            route = scope["path"] if scope["path"] in self.routes else "other"
            self.counts.responses.labels(route, str(status)).inc()
            self.counts.response_seconds.labels(route).observe(seconds)
            _LOG.debug("%s %s %d in %.0f ms", scope["method"], scope["path"], status, 1000 * seconds)
