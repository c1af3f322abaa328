from __future__ import annotations

import logging

import pytest

from faster_rcnn.errors import ImageError, ImageMemoryError, OptionError
from faster_rcnn.serving.http.guards import HEADERS
from faster_rcnn.serving.http.problems import first_fault, problem_of
from faster_rcnn.serving.http.service import Service
from served import png, served


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (ImageError("a is none", code="E105"), 422, "E105 a is none"),
        (OptionError("b is none"), 422, "b is none"),
        (
            ImageError("a has 9 pixels; detect it in tiles (--tile 800), or make the image smaller first", code="E120"),
            413,
            "E120 a has 9 pixels; make the image smaller first",
        ),
        (ImageMemoryError("a needs more memory than there is; make it smaller", code="E120"), 503,
         "E120 a needs more memory than there is; make it smaller"),
    ],
)  # fmt: skip
def test_an_error_has_a_status(error: ImageError, status: int, text: str) -> None:
    problem = problem_of(error)
    assert (problem.status_code, problem.detail) == (status, text)
    assert (problem.headers or {}).get("Retry-After") == ("1" if status == 503 else None)


def test_a_fault_of_the_server_is_one_line_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Service, "predict", lambda *_: 1 / 0)
    with served() as server, caplog.at_level(logging.ERROR):
        reply = server.predict(png())
        metrics = server.get("/metrics").body.decode()
    assert (reply.status, reply.error) == (
        500, "internal fault: ZeroDivisionError; the log of the server has more"
    )  # fmt: skip
    assert caplog.messages == ["internal fault at /predict: ZeroDivisionError: division by zero"]
    assert {name: reply.headers[name.lower()] for name in HEADERS} == HEADERS
    assert 'faster_rcnn_responses_total{route="/predict",status="500"} 1.0' in metrics


def test_what_terminals_obey_is_escaped_in_a_reply() -> None:
    with served() as server:
        reply = server.get("/a%1b%5b2J%e2%80%ae%0a")
        assert reply.error == "there is nothing at /a\\x1b[2J\\u202e\\n; /docs lists what there is"


def test_the_first_fault_is_named_with_the_number_of_others() -> None:
    faults = [{"loc": ("query", "conf"), "msg": "too large", "type": "x"}, {"loc": ("a",), "msg": "b", "type": "y"}]
    assert first_fault(faults, skipped=1) == "conf: too large (and 1 more)"
    assert first_fault([{"loc": (), "msg": "Invalid JSON", "type": "x"}]) == "the body: Invalid JSON"
