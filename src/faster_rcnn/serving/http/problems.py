"""Refused and failed requests: each has a status and one line of text."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from faster_rcnn.errors import FasterRCNNError, ImageMemoryError
from faster_rcnn.system.terminal import printable

_LOG = logging.getLogger(__name__)

SECONDS_TO_RETRY = 1
"""When a client that was refused for lack of room should try again."""


class ProblemReply(BaseModel):
    """Why a request has no result."""

    error: str = Field(description="One line: the fault, and what helps.")


MEANINGS = {
    401: "No valid key was given.",
    404: "There is no such model.",
    408: "The body did not arrive in time.",
    413: "The body, the number of images or an image is too large.",
    415: "The body is of a type that is not read.",
    422: "The request cannot be used: an image cannot be decoded, or an option makes no sense.",
    429: "Too many requests wait already; try again after the seconds of Retry-After.",
    500: "A fault of the server.",
    503: "The result was not there in time, or memory is short; try again later.",
}


def documented(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The replies of a route besides its result, for its description."""
    return {code: {"model": ProblemReply, "description": MEANINGS[code]} for code in codes}


class ProblemError(HTTPException):
    """A request that is refused."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        """Keep the status and the line."""
        super().__init__(status, text, headers)


def overloaded(status: int, text: str) -> ProblemError:
    """A request that may succeed when it is sent again."""
    return ProblemError(status, text, {"Retry-After": str(SECONDS_TO_RETRY)})


def problem_of(error: FasterRCNNError) -> ProblemError:
    """The status and the text of an error of this package."""
    if isinstance(error, ImageMemoryError):
        return overloaded(503, str(error))
    if error.code == "E120":  # what the message proposes next is done where the server runs
        return ProblemError(413, f"{str(error).partition(';')[0]}; make the image smaller first")
    return ProblemError(422, str(error))


def reply(status: int, text: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The reply of a request without a result."""
    return JSONResponse({"error": printable(text)}, status, dict(headers or {}))


def add_problem_handlers(app: FastAPI) -> None:
    """Let every fault that is known end in one line of JSON; ``AnswerFaults`` answers the others."""

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        # FastAPI's own 400 is a JSON body that it cannot parse.
        status = 422 if error.status_code == 400 else error.status_code
        return reply(status, _sentence(request, error), error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return reply(422, first_fault(error.errors(), skipped=1))

    @app.exception_handler(FasterRCNNError)
    async def known(request: Request, error: FasterRCNNError) -> JSONResponse:
        problem = problem_of(error)
        return reply(problem.status_code, problem.detail, problem.headers)

    @app.exception_handler(ClientDisconnect)
    async def left(request: Request, error: ClientDisconnect) -> JSONResponse:
        return reply(400, "the client left before its body had arrived")  # which nobody reads


def internal_fault(path: str, error: Exception) -> JSONResponse:
    """The reply of a request that failed by a fault of the server, which is logged."""
    _LOG.error("internal fault at %s: %s: %s", path, type(error).__name__, error)
    for line in "".join(traceback.format_exception(error)).splitlines():
        _LOG.debug("%s", line)
    return reply(500, f"internal fault: {type(error).__name__}; the log of the server has more")


def _sentence(request: Request, error: HTTPException) -> str:
    path = request.scope["path"]
    match error.status_code:
        case 404 if error.detail == "Not Found":
            return f"there is nothing at {path}; /docs lists what there is"
        case 405:
            return f"{request.method} is not for {path}; /docs lists what is"
    return error.detail


def first_fault(faults: Sequence[Any], skipped: int = 0) -> str:
    """The first fault that pydantic found, with its place without its ``skipped`` first parts, and how many follow."""
    place = ".".join(str(part) for part in faults[0]["loc"][skipped:]) or "the body"
    if faults[0]["type"] == "extra_forbidden":
        return f"{place}: there is no such option; /docs lists those that there are"
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{place}: {faults[0]['msg']}{more}"
