"""The server's own routes: ``/predict``, ``/health`` and ``/metrics``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from faster_rcnn._version import __version__
from faster_rcnn.serving.http.asking import Asked
from faster_rcnn.serving.http.bodies import BYTES, JSON, MULTIPART, json_body, media_type, read_images
from faster_rcnn.serving.http.label_studio import LabelStudio, TasksBody
from faster_rcnn.serving.http.problems import documented
from faster_rcnn.serving.http.replies import ResultReply, result_reply
from faster_rcnn.serving.http.service import Service

_IMAGE = {"schema": {"type": "string", "format": "binary"}}
_BODY = {
    "required": True,
    "content": {
        "image/*": _IMAGE,
        BYTES: _IMAGE,
        MULTIPART: {
            "schema": {
                "type": "object",
                "required": ["image"],
                "properties": {"image": {"type": "array", "items": {"type": "string", "format": "binary"}}},
            }
        },
        **json_body(TasksBody)["content"],
    },
}


class HealthReply(BaseModel):
    """The server works."""

    status: str
    model_class: str
    model: str
    version: str


def native_routes(service: Service, label_studio: LabelStudio) -> APIRouter:
    """The routes of a service."""
    router = APIRouter()

    @router.post(
        "/predict",
        summary="Detect objects in one image, or in several",
        response_model=ResultReply | list[ResultReply] | dict[str, Any],
        responses=documented(408, 413, 415, 422, 429, 503),
        openapi_extra={"requestBody": _BODY},
    )
    async def predict(request: Request, asked: Annotated[Asked, Query()]) -> Response:
        """Send the bytes of one image, and get one object; or several as multipart, and get a list in their order.

        supervision reads each object: Detections.from_inference(reply). A body of JSON is a list of tasks of Label
        Studio, and gets its predictions.
        """
        wanted = asked.wanted(service.options)
        with service.admitted():
            if media_type(request) == JSON:
                return await label_studio.predict(request, wanted)
            images = await read_images(request, service.limits)
            results = await service.predict(images, wanted)
        replies = [result_reply(each) for each in results]
        return JSONResponse(replies if media_type(request) == MULTIPART else replies[0])

    @router.get("/health", summary="Whether the server works")
    async def health() -> HealthReply:
        """It answers as soon as the detector is loaded; it needs no key. Label Studio asks for it, too."""
        return HealthReply(status="UP", model_class="faster-rcnn", model=service.name, version=__version__)

    @router.get(
        "/metrics",
        summary="Counts and times for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        """Requests, images, detections and times in the text format of Prometheus."""
        return Response(service.counts.text(), media_type=CONTENT_TYPE_LATEST)

    return router
