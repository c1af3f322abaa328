"""The routes of a machine learning backend of Label Studio: predictions of its tasks, set-up, and events.

Images are data URLs, or are fetched from the one Label Studio that the server was started for. An address of a task
leads nowhere else, and to no file of this machine.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException, HTTPMessage
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from faster_rcnn.data.opening import NamedBytes
from faster_rcnn.inference.result import Result
from faster_rcnn.serving.http.bodies import json_body, read_json
from faster_rcnn.serving.http.label_config import LabelConfig, read_label_config
from faster_rcnn.serving.http.problems import ProblemError, documented
from faster_rcnn.serving.http.queue import Wanted
from faster_rcnn.serving.http.service import Service
from faster_rcnn.system.wording import count_of

_LOG = logging.getLogger(__name__)


class TaskBody(BaseModel):
    """A task; other fields are not used."""

    data: dict[str, Any] = Field(description="The image under the key that label_config names.")


class TasksBody(BaseModel):
    """Tasks of a project."""

    tasks: list[TaskBody]
    label_config: str = Field(description="The labelling configuration of the project.")


class SetupBody(BaseModel):
    """A project that connects to this server."""

    label_schema: str | None = Field(None, alias="schema", description="The labelling configuration of the project.")


class SetupReply(BaseModel):
    """The name that predictions bear."""

    model_version: str


class EventBody(BaseModel):
    """An event of a project."""

    action: str = Field(description="Such as ANNOTATION_CREATED.")


class EventReply(BaseModel):
    """What became of an event."""

    status: str
    note: str


class LabelStudio:
    """Predicts tasks of Label Studio."""

    def __init__(self, service: Service) -> None:
        """Use the address and the token of the service's options."""
        self.service = service
        address, token = service.options.label_studio, service.options.label_studio_key
        self.address = None if address is None else address.rstrip("/")
        self.headers = {} if token is None else {"Authorization": f"Token {token}"}
        self._fetcher = urllib.request.build_opener(_NoRedirects)

    async def predict(self, request: Request, wanted: Wanted) -> JSONResponse:
        """The predictions of the tasks of an admitted request, in their order."""
        body = await read_json(request, self.service.limits, TasksBody)
        config, name = self.config(body.label_config), self.service.name
        async with self.service.in_time():
            found = await self._found(body.tasks, config, wanted)
        return JSONResponse({"results": [config.prediction(each, name) for each in found], "model_version": name})

    async def _found(self, tasks: Sequence[TaskBody], config: LabelConfig, wanted: Wanted) -> list[Result]:
        """The results of tasks, as many images at a time as a request may have."""
        found, step = [], self.service.limits.images
        for start in range(0, len(tasks), step):
            images = [
                await self._image(task, config, f"task {number}")
                for number, task in enumerate(tasks[start : start + step], start + 1)
            ]
            found += await self.service.predict(images, wanted)
        return found

    def config(self, text: str) -> LabelConfig:
        """Read a configuration, and log the classes that it has no label for."""
        config = read_label_config(text)
        if left_out := config.without_label(self.service.classes.names):
            shown = ", ".join(left_out[:5]) + (", ..." if len(left_out) > 5 else "")
            _LOG.warning(
                f"a project of Label Studio has no label for {count_of(len(left_out), 'class', 'classes')}, whose "
                f"boxes are left out: {shown}"
            )
        return config

    async def _image(self, task: TaskBody, config: LabelConfig, name: str) -> NamedBytes:
        address = task.data.get(config.key)
        if not isinstance(address, str):
            raise ProblemError(422, f"{name} has no image under the key '{config.key}', which label_config names")
        if address.startswith("data:"):
            return NamedBytes(_content(address, name), name)
        if self.address is not None and address.startswith("/") and not address.startswith("//"):
            address = self.address + address
        if self.address is None or not address.startswith(f"{self.address}/"):
            raise ProblemError(
                422,
                f"{name}: its image is at {address[:80]}, which is not fetched: images are data URLs, or of the Label "
                "Studio that the server is started with as --label-studio ADDRESS",
            )
        return NamedBytes(await asyncio.to_thread(self._fetched, address, name), name)

    def _fetched(self, address: str, name: str) -> bytes:
        limits = self.service.limits
        try:
            request = urllib.request.Request(address, headers=self.headers)
            with self._fetcher.open(request, timeout=limits.timeout) as answer:
                content: bytes = answer.read(limits.megabytes * 2**20 + 1)
        except urllib.error.HTTPError as error:
            error.close()
            hint = "; give its access token with --label-studio-key-file" if error.code in (401, 403) else ""
            raise ProblemError(422, f"{name}: Label Studio answers {error.code} for its image{hint}") from error
        except (OSError, HTTPException, ValueError) as error:
            raise ProblemError(422, f"{name}: its image cannot be fetched from Label Studio: {error}") from error
        if len(content) > limits.megabytes * 2**20:
            raise ProblemError(413, f"{name}: its image has more than the {limits.megabytes} MB that are read")
        return content


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, which could lead anywhere."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Refuse; the answer becomes an ``HTTPError``."""
        return


def _content(url: str, name: str) -> bytes:
    """The bytes of a data URL."""
    head, comma, text = url.partition(",")
    try:
        if not comma or not head.endswith(";base64"):
            raise ValueError("it is not in base64")
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ProblemError(422, f"{name}: its data URL cannot be read: {error}") from error


def label_studio_routes(label_studio: LabelStudio) -> APIRouter:
    """The routes beside ``/predict`` and ``/health``, which the server has for everyone."""
    router = APIRouter()
    service = label_studio.service

    @router.post(
        "/setup",
        summary="Connect a project of Label Studio",
        responses=documented(408, 413, 415, 422, 429),
        openapi_extra={"requestBody": json_body(SetupBody)},
    )
    async def setup(request: Request) -> SetupReply:
        """Check the labelling configuration of a project."""
        with service.admitted():
            body = await read_json(request, service.limits, SetupBody)
        if body.label_schema:
            label_studio.config(body.label_schema)
        return SetupReply(model_version=service.name)

    @router.post(
        "/webhook",
        summary="Take an event of Label Studio",
        responses=documented(408, 413, 415, 422, 429),
        openapi_extra={"requestBody": json_body(EventBody)},
    )
    async def webhook(request: Request) -> EventReply:
        """Answer an event. The server does not train, so that it changes nothing."""
        with service.admitted():
            body = await read_json(request, service.limits, EventBody)
        return EventReply(status="ok", note=f"this server does not train: {body.action[:80]} changes nothing")

    return router
