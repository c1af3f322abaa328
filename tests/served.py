"""A server in a thread of this process, and requests to it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import uvicorn
from fastapi import FastAPI
from PIL import Image

from faster_rcnn.inference.loading import ready_detector
from faster_rcnn.serving.http.app import make_app
from faster_rcnn.serving.http.options import ServeOptions
from faster_rcnn.serving.http.service import Service
from faster_rcnn.weights.model_file import LoadedModel
from files import loaded_model, rgb

PNG = "image/png"


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply with its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The one line of a refused request."""
        text: str = self.json["error"]
        assert "\n" not in text
        assert "Traceback" not in text
        return text


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs."""

    port: int
    service: Service | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of every request."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None, **query: Any
    ) -> Reply:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=300)
        try:
            target = f"{path}?{urlencode(query)}" if query else path
            connection.request(method, target, body, {**self.headers, **(headers or {})})
            answer = connection.getresponse()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        return self.ask("GET", path, headers=headers)

    def predict(self, body: bytes, kind: str | None = PNG, **query: Any) -> Reply:
        return self.ask("POST", "/predict", body, {"Content-Type": kind} if kind else {}, **query)

    def post(self, path: str, value: Any, **query: Any) -> Reply:
        return self.ask("POST", path, json.dumps(value).encode(), {"Content-Type": "application/json"}, **query)


def png(height: int = 40, width: int = 60, seed: int = 0) -> bytes:
    """Noise as a PNG."""
    buffer = BytesIO()
    Image.fromarray(rgb(height, width, seed)).save(buffer, "PNG")
    return buffer.getvalue()


def multipart(*parts: tuple[str, bytes | str]) -> tuple[bytes, str]:
    """A body with a file for each pair of a name and bytes, a field for a text, and its type."""
    lines = []
    for name, content in parts:
        file = f'; filename="{name}"\r\nContent-Type: application/octet-stream' if isinstance(content, bytes) else ""
        head = f'--edge\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        lines += [head.encode(), content if isinstance(content, bytes) else content.encode(), b"\r\n"]
    return b"".join([*lines, b"--edge--\r\n"]), "multipart/form-data; boundary=edge"


def service_of(options: ServeOptions, loaded: LoadedModel | None = None) -> Service:
    """A service of a tiny detector."""
    return Service(ready_detector(loaded or loaded_model(), options.precision), options)


@contextmanager
def served(options: ServeOptions | None = None, loaded: LoadedModel | None = None) -> Iterator[Served]:
    """Serve a tiny detector, by default bit-exact, until the block ends."""
    service = service_of(options or ServeOptions("runs/cells", precision="float32"), loaded)
    with listening_app(make_app(service)) as port:
        yield Served(port, service)


@contextmanager
def listening_app(app: FastAPI) -> Iterator[int]:
    """Run an application in a thread; gives its port."""
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", ws="none")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()
