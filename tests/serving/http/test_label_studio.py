"""A backend of Label Studio: predictions of tasks, whose images come from nowhere but the tasks and one server."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from faster_rcnn.detector import Detector
from faster_rcnn.inference.prepared import PreparedDetector
from faster_rcnn.serving.http.options import Limits, ServeOptions
from files import loaded_model
from served import Served, png, served

CONFIG = (
    '<View><Image name="image" value="$photo"/><RectangleLabels name="label" toName="image">'
    '<Label value="Cat"/><Label value="dog"/></RectangleLabels></View>'
)
LIMITS = Limits(megabytes=1, images=2, timeout=20)


class Images(BaseHTTPRequestHandler):
    """Stands for Label Studio: an image for whoever has the token, and a way to somewhere else."""

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != "Token secret":
            self.send_error(401)
        elif self.path == "/data/upload/1/a.png":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(png())
        elif self.path == "/large":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(bytes(2**20 + 1))
        elif self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "/data/upload/1/a.png")
            self.end_headers()
        else:
            self.send_error(404)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def studio() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Images) as images:
        thread = threading.Thread(target=images.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{images.server_port}"
        images.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def server(studio: str) -> Iterator[Served]:
    options = ServeOptions(
        "runs/cells", conf=0.01, precision="float32", limits=LIMITS, label_studio=studio, label_studio_key="secret"
    )
    with served(options) as running:
        yield running


def data_url(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def tasks(*images: Any) -> dict[str, Any]:
    return {"tasks": [{"id": 7, "data": {"photo": each}} for each in images], "label_config": CONFIG, "project": "1.2"}


def test_tasks_have_the_boxes_of_predict_in_percent(server: Served) -> None:
    images = [png(seed=seed) for seed in range(3)]  # more than a request may have images: they come two by two
    reply = server.post("/predict", tasks(*map(data_url, images)))
    assert reply.status == 200
    assert reply.json["model_version"] == "cells"
    expected = Detector(loaded_model(), precision="float32").predict(images, conf=0.01, progress=False)
    for prediction, result in zip(reply.json["results"], expected, strict=True):
        kept = [each for each in result.to_json()["detections"] if each["label"] != "cow"]
        assert [each["score"] for each in prediction["result"]] == [each["score"] for each in kept]
        names = [each["value"]["rectanglelabels"] for each in prediction["result"]]
        assert names == [["Cat" if each["label"] == "cat" else "dog"] for each in kept]
        for region, each in zip(prediction["result"], kept, strict=True):
            assert region["value"]["x"] * 60 / 100 == pytest.approx(each["box"][0])
            assert region["value"]["height"] * 40 / 100 == pytest.approx(each["box"][3] - each["box"][1])


def test_tasks_that_take_too_long_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    detect = PreparedDetector.detect

    def slow(self: PreparedDetector, *given: Any) -> Any:
        time.sleep(0.25)
        return detect(self, *given)

    monkeypatch.setattr(PreparedDetector, "detect", slow)
    with served(ServeOptions("m", precision="float32", limits=Limits(images=1, timeout=1))) as server:
        reply = server.post("/predict", tasks(*[data_url(png())] * 6))
    assert (reply.status, reply.error) == (503, "no result within 1 s: too many images wait; try again later")


def test_images_are_fetched_from_label_studio_with_the_token(server: Served, studio: str) -> None:
    direct = server.post("/predict", tasks(data_url(png()))).json
    assert server.post("/predict", tasks("/data/upload/1/a.png")).json == direct
    assert server.post("/predict", tasks(f"{studio}/data/upload/1/a.png")).json == direct


@pytest.mark.parametrize(
    "address",
    ["/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:1/a.png", "//127.0.0.1:1/a.png", "ftp://a/b", "a.png",
     "http://127.0.0.1.evil.example/a", "http://user@127.0.0.1/a", ""],
)  # fmt: skip
def test_no_address_of_a_task_leads_elsewhere(address: str, studio: str) -> None:
    with served(ServeOptions("m", precision="float32")) as alone:
        refused = alone.post("/predict", tasks(address))
        assert refused.status == 422
        assert "which is not fetched: images are data URLs" in refused.error
    if address == "/etc/passwd":  # a path of Label Studio, where there is one
        return
    options = ServeOptions("m", precision="float32", label_studio=studio)
    with served(options) as beside:
        assert "which is not fetched" in beside.post("/predict", tasks(address)).error


@pytest.mark.parametrize(
    ("address", "status", "text"),
    [
        ("/nothing", 422, "task 1: Label Studio answers 404 for its image"),
        ("/away", 422, "task 1: Label Studio answers 302 for its image"),
        ("/large", 413, "task 1: its image has more than the 1 MB that are read"),
        ("/a b", 422, "task 1: its image cannot be fetched from Label Studio"),
        ("/../../etc/passwd", 422, "task 1: Label Studio answers 404 for its image"),
        ("data:image/png,abc", 422, "task 1: its data URL cannot be read: it is not in base64"),
        ("data:image/png;base64,é", 422, "task 1: its data URL cannot be read"),
        ("data:image/png;base64,AAAA", 422, "E105 cannot decode task 1"),
        (None, 422, "task 1 has no image under the key 'photo'"),
        (3, 422, "task 1 has no image under the key 'photo'"),
    ],
)
def test_an_image_that_cannot_be_had_is_named(server: Served, address: Any, status: int, text: str) -> None:
    reply = server.post("/predict", tasks(address))
    assert reply.status == status
    assert text in reply.error


def test_a_missing_token_is_named(studio: str) -> None:
    with served(ServeOptions("m", precision="float32", label_studio=studio)) as without:
        error = without.post("/predict", tasks("/data/upload/1/a.png")).error
    assert error == (
        "task 1: Label Studio answers 401 for its image; give its access token with --label-studio-key-file"
    )


def test_a_server_that_is_gone_is_named() -> None:
    with served(ServeOptions("m", precision="float32", label_studio="http://127.0.0.1:1")) as without:
        assert (
            "task 1: its image cannot be fetched from Label Studio" in without.post("/predict", tasks("/a.png")).error
        )


def test_a_project_is_set_up(server: Served, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING"):
        reply = server.post(
            "/setup", {"project": "1.2", "schema": CONFIG, "hostname": "http://evil", "access_token": "x"}
        )
    assert (reply.status, reply.json) == (200, {"model_version": "cells"})
    assert "has no label for 1 class, whose boxes are left out: cow" in caplog.text
    assert server.post("/setup", {}).json == {"model_version": "cells"}
    assert "has no boxes for an image" in server.post("/setup", {"schema": "<View/>"}).error


def test_an_event_is_answered(server: Served) -> None:
    reply = server.post("/webhook", {"action": "ANNOTATION_CREATED", "annotation": {}})
    assert reply.json == {"status": "ok", "note": "this server does not train: ANNOTATION_CREATED changes nothing"}


@pytest.mark.parametrize("path", ["/predict", "/setup", "/webhook"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"[" * 100_000, b"\xff", b'{"tasks": 3, "action": 3, "schema": 3}'])
def test_what_is_no_request_is_refused(server: Served, path: str, body: bytes) -> None:
    reply = server.ask("POST", path, body, {"Content-Type": "application/json"})
    assert reply.status == 422
    assert reply.error
