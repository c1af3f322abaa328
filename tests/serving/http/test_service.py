"""A service limits what it takes: requests at a time, and the time of each."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from faster_rcnn.errors import ModelFileError, OptionError
from faster_rcnn.inference.prepared import PreparedDetector
from faster_rcnn.serving.http.options import Limits, ServeOptions
from faster_rcnn.serving.http.service import load_service, model_name
from files import model_file
from served import Reply, Served, multipart, png, served


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Within it no image is detected until the event is set."""
    gate, detect = threading.Event(), PreparedDetector.detect

    def waiting(self: PreparedDetector, *given: Any) -> Any:
        gate.wait(60)
        return detect(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(PreparedDetector, "detect", waiting)
        yield gate
        gate.set()


def asked_in_threads(server: Served, count: int) -> tuple[list[Reply], list[threading.Thread]]:
    replies: list[Reply] = []
    threads = [threading.Thread(target=lambda: replies.append(server.predict(png()))) for _ in range(count)]
    for thread in threads:
        thread.start()
    return replies, threads


def inside(server: Served) -> int:
    assert server.service is not None
    return int(server.service.counts.requests_inside._value.get())


def test_more_requests_than_the_queue_holds_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    options = ServeOptions("m", precision="float32", limits=Limits(queue=2))
    with held(monkeypatch) as gate, served(options) as server:
        replies, threads = asked_in_threads(server, 2)
        while inside(server) < 2:
            time.sleep(0.01)
        refused = server.predict(png())
        assert (refused.status, refused.error) == (429, "2 requests wait already; try again in a moment")
        assert refused.headers["retry-after"] == "1"
        assert server.get("/health").status == 200
        gate.set()
        for thread in threads:
            thread.join()
        assert [reply.status for reply in replies] == [200, 200]
        assert server.predict(png()).status == 200
        assert inside(server) == 0


def test_a_result_that_is_not_there_in_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    options = ServeOptions("m", precision="float32", limits=Limits(timeout=0.2))
    with served(options) as server, held(monkeypatch) as gate:
        body, kind = multipart(("a", png()), ("b", png()))
        late = server.predict(body, kind)
        assert (late.status, late.error) == (503, "no result within 0.2 s: too many images wait; try again later")
        assert late.headers["retry-after"] == "1"
        gate.set()


def test_a_body_that_does_not_arrive_is_refused() -> None:
    options = ServeOptions("m", precision="float32", limits=Limits(timeout=0.2))
    with served(options) as server:
        reply = server.ask("POST", "/predict", b"half", {"Content-Type": "image/png", "Content-Length": "1000"})
        assert (reply.status, reply.error) == (408, "the body did not arrive within 0.2 s")
        assert reply.headers["connection"] == "close"
        assert inside(server) == 0


def test_a_client_that_leaves_keeps_no_place() -> None:
    with served() as server:
        with socket.create_connection(("127.0.0.1", server.port)) as leaving:
            leaving.sendall(
                b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\nx"
            )
            while inside(server) < 1:
                time.sleep(0.01)
        while inside(server) > 0:
            time.sleep(0.01)
        assert server.predict(png()).status == 200


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("runs/cells", "cells"),
        ("runs/cells/", "cells"),
        ("runs/cells/best.safetensors", "cells"),
        ("models/pets.safetensors", "pets"),
        ("best.safetensors", "best"),
        (".", "model"),
        ("..", "model"),
        ("torchvision:fasterrcnn_resnet50_fpn_v2", "fasterrcnn_resnet50_fpn_v2"),
        ("a b/ü?<x>.safetensors", "---x-"),
    ],
)
def test_a_model_has_a_name_for_addresses(model: str, name: str) -> None:
    assert model_name(model) == name


def test_a_service_is_loaded_from_a_model_file(tmp_path: Path) -> None:
    file = model_file(tmp_path / "pets.safetensors")
    service = load_service(ServeOptions(str(file), precision="float32", settings=("roi.max_detections=3",)))
    assert (service.name, service.queue.detector.config.roi.max_detections) == ("pets", 3)
    service.close()
    with pytest.raises(OptionError, match=r"^E125 conf auto: the model holds no thresholds; give a number, or store"):
        load_service(ServeOptions(str(file), conf="auto"))
    with pytest.raises(ModelFileError):
        load_service(ServeOptions(str(tmp_path / "none.safetensors")))
