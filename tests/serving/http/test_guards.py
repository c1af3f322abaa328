from __future__ import annotations

import base64
import socket
from collections.abc import Iterator

import pytest

from faster_rcnn.serving.http.guards import HEADERS, OPEN
from faster_rcnn.serving.http.options import Limits, ServeOptions
from served import Served, png, served

KEYS = ("0123456789abcdef", "fedcba9876543210")


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served(ServeOptions("m", precision="float32", keys=KEYS, limits=Limits(megabytes=1))) as running:
        yield running


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    "headers", [{}, bearer("0123456789abcdeF"), bearer(""), basic(f"{KEYS[0]}:"), {"Authorization": "Basic ü"},
                {"Authorization": KEYS[0]}, {"X-API-Key": KEYS[0]}],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/metrics", "/predict", "/v2", "/nothing", "/setup"])
def test_without_a_key_nothing_but_the_probes_is_answered(server: Served, path: str, headers: dict[str, str]) -> None:
    given = {name: value.encode("latin-1") for name, value in headers.items()}
    for method in ("GET", "POST"):
        reply = server.ask(method, path, png() if method == "POST" else None, given)  # type: ignore[arg-type]
        assert reply.status == 401
        assert reply.error.startswith("a key is needed")
        assert reply.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    "headers", [bearer(KEYS[0]), bearer(KEYS[1]), basic(f"anyone:{KEYS[0]}"), basic(f":{KEYS[1]}")]
)
def test_with_a_key_everything_is(server: Served, headers: dict[str, str]) -> None:
    assert server.get("/", headers).status == 200
    assert server.get("/openapi.json", headers).status == 200
    assert server.ask("POST", "/predict", png(), {"Content-Type": "image/png", **headers}).status == 200


@pytest.mark.parametrize("path", OPEN)
def test_probes_need_no_key(server: Served, path: str) -> None:
    assert server.get(path).status == 200


def test_the_description_names_the_refusal(server: Served) -> None:
    operation = server.get("/openapi.json", bearer(KEYS[0])).json["paths"]["/predict"]["post"]
    assert operation["responses"]["401"]["description"] == "No valid key was given."


def test_a_body_without_a_length_is_limited_as_it_arrives(server: Served) -> None:
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    head = f"POST /predict HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEYS[0]}\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head.encode())
        for _ in range(17):  # 64 kB each
            connection.sendall(chunk)
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_declares_too_much_is_refused_before_it_arrives(server: Served) -> None:
    head = (
        f"POST /predict HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEYS[0]}\r\nContent-Length: 99999999999\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_every_reply_has_the_headers_of_security(server: Served) -> None:
    for reply in (server.get("/health"), server.get("/"), server.get("/", bearer(KEYS[0]))):
        assert {name: reply.headers[name.lower()] for name in HEADERS} == HEADERS
        assert "server" not in reply.headers or reply.headers["server"] == "uvicorn"  # the command sends none
