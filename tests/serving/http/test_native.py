"""``/predict`` gives the results of ``predict``, and refuses what it cannot use with a status and a line."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image
from torch.testing import assert_close

from faster_rcnn._version import __version__
from faster_rcnn.detector import Detector
from faster_rcnn.serving.http.options import Limits, ServeOptions
from faster_rcnn.weights.thresholds import OperatingPoint, Thresholds
from files import loaded_model
from served import PNG, Served, multipart, png, served

CONF = 0.01


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    options = ServeOptions(
        "runs/cells", conf=CONF, precision="float32", limits=Limits(megabytes=1, megapixels=1, images=3)
    )
    with served(options) as running:
        yield running


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(loaded_model(), precision="float32")


def found(reply: dict[str, Any]) -> list[dict[str, Any]]:
    """Predictions of a reply as ``predict --json`` has them."""
    return [
        {"box": each["box"], "score": each["confidence"], "label": each["class"], "label_id": each["class_id"]}
        for each in reply["predictions"]
    ]


@pytest.mark.parametrize("query", [{}, {"conf": 0.3}, {"max_det": 2}, {"classes": "cat,cow"},
                                   {"iou": 0.1, "agnostic_nms": True}])  # fmt: skip
def test_a_result_is_that_of_predict_to_the_last_bit(server: Served, detector: Detector, query: dict[str, Any]) -> None:
    expected = detector.predict(png(), **{"conf": CONF, **query}).to_json()
    reply = server.predict(png(), **query)
    assert reply.status == 200
    assert expected["detections"]
    assert found(reply.json) == expected["detections"]
    assert reply.json["image"] == {"width": 60, "height": 40}


def test_thresholds_of_the_model_hold_for_the_server_and_for_a_request(detector: Detector) -> None:
    loaded = loaded_model()
    scores = [each.score for each in detector.predict(png(), CONF)]
    points = tuple((OperatingPoint(score, 0.9, 0.5),) for score in (scores[1], scores[3], scores[5]))
    loaded = replace(loaded, thresholds=Thresholds("val", 9, points))
    expected = Detector(loaded, precision="float32").predict(png(), "auto").to_json()["detections"]
    assert 0 < len(expected) < len(scores)
    with served(ServeOptions("runs/cells", conf="auto", precision="float32"), loaded) as server:
        assert found(server.predict(png()).json) == expected
        assert found(server.predict(png(), conf="precision=0.8").json) == expected
        assert len(server.predict(png(), conf=CONF).json["predictions"]) == len(scores)


def test_each_prediction_has_the_box_by_its_centre_as_well(server: Served) -> None:
    for each in server.predict(png()).json["predictions"]:
        x1, y1, x2, y2 = each["box"]
        centre = each["x"] - each["width"] / 2, each["y"] - each["height"] / 2
        assert_close([*centre, *(each["x"] + each["width"] / 2, each["y"] + each["height"] / 2)], [x1, y1, x2, y2])


def test_several_images_give_a_list_in_their_order(server: Served, detector: Detector) -> None:
    images = [png(seed=1), png(height=80, seed=2)]
    body, kind = multipart(("a.png", images[0]), ("b.png", images[1]))
    reply = server.predict(body, kind)
    assert [found(each) for each in reply.json] == [
        each.to_json()["detections"] for each in detector.predict(images, conf=CONF)
    ]


def test_an_image_is_decoded_by_its_content_whatever_its_type_is(server: Served) -> None:
    assert server.predict(png(), "image/jpeg").json == server.predict(png(), PNG).json
    assert server.predict(png(), None).json == server.predict(png(), "application/octet-stream").json


def test_an_image_without_detections_has_none(server: Served) -> None:
    assert server.predict(png(), conf=1).json == {"image": {"width": 60, "height": 40}, "predictions": []}


def damaged() -> bytes:
    return png()[:300]


def many_pixels() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (1001, 1000)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("body", "kind", "query", "status", "text"),
    [
        (b"", PNG, {}, 422, "the body is empty"),
        (b"no image", PNG, {}, 422, "E105 cannot decode the image"),
        (damaged(), PNG, {}, 422, "E105 cannot decode the image"),
        (many_pixels(), PNG, {}, 413, "E120 the image has 1001x1000 = 1,001,000 pixels"),
        (bytes(2**20 + 1), PNG, {}, 413, "more than the 1 MB"),
        (png(), "text/plain", {}, 415, "a body of type text/plain is not read"),
        (png(), "application/x-www-form-urlencoded", {}, 415, "-H 'Content-Type: image/jpeg'"),
        (png(), PNG, {"confidence": 0.3}, 422, "confidence: there is no such option"),
        (png(), PNG, {"conf": "nan"}, 422, "E125 conf nan: scores are between 0 and 1"),
        (png(), PNG, {"conf": 50}, 422, "E125 conf 50: scores are between 0 and 1; 50 % is 0.5"),
        (png(), PNG, {"conf": "auto"}, 422, "E125 conf auto: the model holds no thresholds"),
        (png(), PNG, {"max_det": 0}, 422, "max_det: "),
        (png(), PNG, {"classes": "cta"}, 422, "did you mean 'cat'?"),
        (*multipart(*[(f"{number}", png()) for number in range(4)]), {}, 413, "more than 3 parts"),
        (*multipart(("a.png", png()), ("b.png", b"no")), {}, 422, "E105 cannot decode image 2 (b.png)"),
        (*multipart(("conf", "0.3")), {}, 422, "part 'conf' is no file"),
        (*multipart(), {}, 422, "the body holds no image"),
        (b"--edge", "multipart/form-data", {}, 422, "it is no multipart/form-data"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_has_a_status_and_one_line(
    server: Served, body: bytes, kind: str, query: dict[str, Any], status: int, text: str
) -> None:
    reply = server.predict(body, kind, **query)
    assert reply.status == status
    assert text in reply.error


def test_a_compressed_body_is_refused(server: Served) -> None:
    reply = server.ask("POST", "/predict", png(), {"Content-Type": PNG, "Content-Encoding": "gzip"})
    assert (reply.status, reply.error) == (415, "a body in gzip is not read; send it as it is")


def test_a_file_name_is_never_a_path_of_the_server(server: Served) -> None:
    body, kind = multipart(("/etc/passwd", png()), ("../../best.safetensors", png()))
    assert server.predict(body, kind).json == [server.predict(png()).json] * 2
    for text in (b"/etc/hostname", b"file:///etc/hostname", b"http://localhost/a.png"):
        assert "is not an image of a known format" in server.predict(text).error


def test_health_names_the_model(server: Served) -> None:
    expected = {"status": "UP", "model_class": "faster-rcnn", "model": "cells", "version": __version__}
    assert server.get("/health").json == expected


def test_other_addresses_and_methods_are_answered_in_one_line(server: Served) -> None:
    assert server.get("/nothing").error == "there is nothing at /nothing; /docs lists what there is"
    assert (server.get("/predict").status, server.get("/predict").error) == (
        405, "GET is not for /predict; /docs lists what is"
    )  # fmt: skip


def test_metrics_count_requests_images_and_detections(server: Served) -> None:
    def value(name: str) -> float:
        lines = server.get("/metrics").body.decode().splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(f"{name} ")), 0.0)

    answered, images = 'faster_rcnn_responses_total{route="/predict",status="200"}', "faster_rcnn_images_total"
    cats = 'faster_rcnn_detections_total{class_name="cat"}'
    before = [value(name) for name in (answered, images, cats)]
    body, kind = multipart(("a", png()), ("b", png()))
    replies = server.predict(body, kind).json
    labels = [each["class"] for reply in replies for each in reply["predictions"]]
    assert [value(name) for name in (answered, images, cats)] == [
        before[0] + 1, before[1] + 2, before[2] + labels.count("cat")
    ]  # fmt: skip
    refused = 'faster_rcnn_images_refused_total{code="E105"}'
    earlier = value(refused)
    server.predict(b"no image")
    assert value(refused) == earlier + 1
