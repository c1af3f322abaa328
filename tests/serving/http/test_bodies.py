from __future__ import annotations

import asyncio

import pytest
from fastapi import Request
from starlette.types import Message

from faster_rcnn.serving.http.bodies import declares_image, json_body, media_type, read_images
from faster_rcnn.serving.http.label_studio import TasksBody
from faster_rcnn.serving.http.options import Limits
from faster_rcnn.serving.http.problems import ProblemError
from served import multipart


def request_of(kind: str | None, body: bytes = b"") -> Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [] if kind is None else [(b"content-type", kind.encode())]
    return Request({"type": "http", "method": "POST", "path": "/predict", "headers": headers}, receive)


@pytest.mark.parametrize(
    ("kind", "name", "is_image"),
    [
        (None, "", True),
        ("image/jpeg", "image/jpeg", True),
        ("IMAGE/PNG; a=b", "image/png", True),
        ("application/octet-stream", "application/octet-stream", True),
        ("text/plain", "text/plain", False),
        ("application/json;charset=utf-8", "application/json", False),
    ],
)
def test_the_type_of_a_body(kind: str | None, name: str, is_image: bool) -> None:
    request = request_of(kind)
    assert (media_type(request), declares_image(request)) == (name, is_image)


def test_parts_have_names_for_messages_and_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.SpooledTemporaryFile.rollover", lambda _: pytest.fail("a file was made"))
    body, kind = multipart(("a" * 200, bytes(3 * 2**20)), ("b.png", b"2"))
    images = asyncio.run(read_images(request_of(kind, body), Limits()))
    assert [len(each) for each in images] == [3 * 2**20, 1]
    assert [each.name for each in images] == [f"image 1 ({'a' * 100})", "image 2 (b.png)"]


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=ä"]
)
@pytest.mark.parametrize(
    "body", [b"", b"--", b"--edge\r\n\r\n", b"--edge\r\nContent-Disposition: x\r\n\r\n", b"\xff" * 99]
)
def test_a_broken_multipart_body_is_refused(kind: str, body: bytes) -> None:
    with pytest.raises(ProblemError) as refused:
        asyncio.run(read_images(request_of(kind, body), Limits()))
    assert refused.value.status_code == 422


def test_a_description_refers_to_nothing_outside_itself() -> None:
    schema = json_body(TasksBody)["content"]["application/json"]["schema"]
    assert "$" not in str(schema)
    assert schema["properties"]["tasks"]["items"]["properties"]["data"]["type"] == "object"
