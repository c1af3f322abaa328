"""Bodies of requests: bytes of one image, or several images as multipart. Nothing is written to a disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from faster_rcnn.data.opening import NamedBytes
from faster_rcnn.serving.http.options import Limits
from faster_rcnn.serving.http.problems import ProblemError, first_fault

MULTIPART = "multipart/form-data"
JSON = "application/json"
BYTES = "application/octet-stream"
LONGEST_NAME = 100
"""Letters of a file's name in messages."""

Model = TypeVar("Model", bound=BaseModel)
Part = tuple[str, UploadFile | str]


def media_type(request: Request) -> str:
    """The type of the body without its parameters, in small letters; empty where the request names none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def declares_image(request: Request) -> bool:
    """Whether the body is one image, by its type."""
    return media_type(request).startswith("image/") or media_type(request) in (BYTES, "")


async def read_body(request: Request, limits: Limits) -> bytes:
    """All bytes of a body; raises ``ProblemError`` where they do not arrive in time (408) or are too many (413)."""
    try:
        async with asyncio.timeout(limits.timeout):
            return await request.body()
    except TimeoutError as error:
        raise ProblemError(
            408, f"the body did not arrive within {limits.timeout:g} s", {"Connection": "close"}
        ) from error


async def read_json(request: Request, limits: Limits, kind: type[Model]) -> Model:
    """The content of a body of JSON; raises ``ProblemError`` for another type (415) and for other contents (422)."""
    if media_type(request) != JSON:
        raise ProblemError(415, f"a body of type {media_type(request) or 'none'} is not read here; send {JSON}")
    try:
        return kind.model_validate_json(await read_body(request, limits))
    except ValidationError as error:
        raise ProblemError(422, first_fault(error.errors(include_url=False, include_context=False))) from error


async def read_images(request: Request, limits: Limits) -> list[NamedBytes]:
    """The images of a body, with names for messages.

    Raises ``ProblemError``: another type (415), too many images (413), no image or a broken multipart body (422).
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise ProblemError(415, f"a body in {request.headers['content-encoding']} is not read; send it as it is")
    if media_type(request) == MULTIPART:
        return await _parts(request, limits)
    if not declares_image(request):
        raise ProblemError(
            415,
            f"a body of type {media_type(request)[:LONGEST_NAME]} is not read; send one image with its type: curl "
            "--data-binary @a.jpg -H 'Content-Type: image/jpeg', or several: curl -F image=@a.jpg -F image=@b.jpg",
        )
    body = await read_body(request, limits)
    if not body:
        raise ProblemError(422, "the body is empty; send the bytes of an image")
    return [NamedBytes(body, "the image")]


class _InMemory(MultiPartParser):
    """A parser that keeps all parts in memory: the size of the body is limited, and there may be no disk."""

    spool_max_size = 2**62


async def _parts(request: Request, limits: Limits) -> list[NamedBytes]:
    body = await read_body(request, limits)
    parser = _InMemory(request.headers, _whole(body), max_files=limits.images, max_fields=limits.images)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, UnicodeDecodeError, LookupError) as error:
        too_many = "Too many" in str(error)
        text = f"more than {limits.images} parts" if too_many else f"it is no {MULTIPART}: {error}"
        raise ProblemError(413 if too_many else 422, f"the body is not read: {text}") from error
    try:
        return [await _image(number, *each) for number, each in enumerate(_some(form.multi_items()), 1)]
    finally:
        await form.close()


def _some(parts: Sequence[Part]) -> Sequence[Part]:
    if not parts:
        raise ProblemError(422, "the body holds no image; send some: curl -F image=@a.jpg")
    return parts


async def _image(number: int, name: str, part: UploadFile | str) -> NamedBytes:
    if not isinstance(part, UploadFile):
        raise ProblemError(
            422, f"part {name[:LONGEST_NAME]!r} is no file; options belong to the address: /predict?conf=0.3"
        )
    return NamedBytes(await part.read(), f"image {number} ({(part.filename or name)[:LONGEST_NAME]})")


async def _whole(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body


def json_body(kind: type[BaseModel]) -> dict[str, Any]:
    """The description of a body of JSON, for OpenAPI."""
    schema = kind.model_json_schema()
    return {"required": True, "content": {JSON: {"schema": _inlined(schema, schema.pop("$defs", {}))}}}


def _inlined(node: Any, definitions: dict[str, Any]) -> Any:
    """A schema with its definitions in the places that refer to them, as OpenAPI has them elsewhere."""
    if isinstance(node, list):
        return [_inlined(each, definitions) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inlined(definitions[node["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(each, definitions) for name, each in node.items()}
