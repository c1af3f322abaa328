"""The Open Inference Protocol, version 2, over HTTP with JSON.

An input is ``image``: encoded files in base64 (BYTES, one for each image), or pixels in RGB (UINT8, height x width x 3,
or images x height x width x 3). The outputs are padded to the image with the most detections: ``boxes``, ``scores``
and ``labels``, and ``num``, the number of detections of each image.
"""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, ValidationError

from faster_rcnn._version import __version__
from faster_rcnn.serving.http.asking import Asked
from faster_rcnn.serving.http.bodies import json_body, read_json
from faster_rcnn.serving.http.problems import ProblemError, documented, first_fault
from faster_rcnn.serving.http.service import Service
from faster_rcnn.serving.http.tensors import INPUT, OUTPUTS, InputTensor, images_of, tensors_of


class RequestedOutput(BaseModel):
    """An output that a request names."""

    name: str


class InferBody(BaseModel):
    """A request of inference."""

    id: str | None = None
    inputs: list[InputTensor] = Field(min_length=1)
    parameters: dict[str, Any] = Field(default_factory=dict, description="Options by the names that /predict has.")
    outputs: list[RequestedOutput] | None = Field(None, description="The outputs that are sent; by default all.")


class TensorReply(BaseModel):
    """A tensor of a reply, its numbers in one flat list."""

    name: str
    datatype: str
    shape: list[int]
    data: list[float]


class InferReply(BaseModel):
    """The detections of all images."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[TensorReply]


class ServerReply(BaseModel):
    """The server."""

    name: str
    version: str
    extensions: list[str]


class LiveReply(BaseModel):
    """The server answers."""

    live: Literal[True] = True


class ReadyReply(BaseModel):
    """The detector is loaded."""

    ready: Literal[True] = True


class ModelReadyReply(BaseModel):
    """A model is loaded."""

    name: str
    ready: Literal[True] = True


class TensorMetadata(BaseModel):
    """A tensor of a model."""

    name: str
    datatype: str
    shape: list[int]


class ModelReply(BaseModel):
    """A model with its inputs and outputs."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    parameters: dict[str, Any] = Field(description="classes: the name of each label.")


def open_inference_routes(service: Service) -> APIRouter:
    """The routes of the protocol for the one model of a service."""
    router = APIRouter(prefix="/v2")
    _add_states(router, service)
    _add_inference(router, service)
    return router


def _add_states(router: APIRouter, service: Service) -> None:
    one = f"/models/{service.name}"

    @router.get("", summary="The server of the protocol")
    async def server() -> ServerReply:
        """Name and version."""
        return ServerReply(name="faster-rcnn", version=__version__, extensions=[])

    @router.get("/health/live", summary="Whether the server answers")
    async def live() -> LiveReply:
        """It needs no key."""
        return LiveReply()

    @router.get("/health/ready", summary="Whether the detector is loaded")
    async def ready() -> ReadyReply:
        """It needs no key."""
        return ReadyReply()

    @router.get(one, summary="Inputs and outputs of the detector")
    async def model() -> ModelReply:
        """Name, type and shape of each tensor."""
        outputs = [TensorMetadata(name=name, datatype=kind, shape=shape) for name, (kind, shape) in OUTPUTS.items()]
        inputs = [TensorMetadata(name=INPUT, datatype="BYTES", shape=[-1])]
        named = zip(service.classes.ids, service.classes.names, strict=True)
        return ModelReply(
            name=service.name,
            versions=[__version__],
            platform="pytorch_faster_rcnn",
            inputs=inputs,
            outputs=outputs,
            parameters={"classes": {str(label): name for label, name in named if name is not None}},
        )

    @router.get(f"{one}/ready", summary="Whether this model is loaded")
    async def model_ready() -> ModelReadyReply:
        """It is, as the server starts after that."""
        return ModelReadyReply(name=service.name)


def _add_inference(router: APIRouter, service: Service) -> None:
    @router.post(
        f"/models/{service.name}/infer",
        summary="Detect objects, as tensors",
        response_model=InferReply,
        responses=documented(408, 413, 415, 422, 429, 503),
        openapi_extra={"requestBody": json_body(InferBody)},
    )
    async def infer(request: Request) -> JSONResponse:
        """Send files in base64 as BYTES, or pixels as UINT8; get boxes, scores and labels, padded to one length."""
        with service.admitted():
            body = await read_json(request, service.limits, InferBody)
            names = _output_names(body)
            images = images_of(body.inputs, service.limits)
            results = await service.predict(images, _asked(body).wanted(service.options))
        outputs = [each for each in tensors_of(results) if each["name"] in names]
        found = {"model_name": service.name, "model_version": __version__, "outputs": outputs}
        return JSONResponse(found if body.id is None else {**found, "id": body.id})


def _asked(body: InferBody) -> Asked:
    try:
        return Asked.model_validate(body.parameters)
    except ValidationError as error:
        raise ProblemError(422, f"parameters: {first_fault(error.errors(include_url=False))}") from error


def _output_names(body: InferBody) -> set[str]:
    """The names of the outputs that are sent; raises ``ProblemError`` (422) for one that does not exist."""
    names = set(OUTPUTS) if body.outputs is None else {each.name for each in body.outputs}
    if unknown := sorted(names - set(OUTPUTS)):
        raise ProblemError(422, f"there is no output '{unknown[0][:40]}'; outputs are {', '.join(OUTPUTS)}")
    return names
