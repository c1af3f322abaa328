"""The Open Inference Protocol: the tensors are the results of ``predict``."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from faster_rcnn._version import __version__
from faster_rcnn.detector import Detector
from faster_rcnn.serving.http.options import Limits, ServeOptions
from files import loaded_model, rgb
from served import Served, png, served

INFER = "/v2/models/cells/infer"


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    limits = Limits(images=2, megapixels=1)
    with served(ServeOptions("runs/cells", conf=0.01, precision="float32", limits=limits)) as running:
        yield running


def files(*images: bytes) -> dict[str, Any]:
    texts = [base64.b64encode(each).decode() for each in images]
    return {"inputs": [{"name": "image", "shape": [len(texts)], "datatype": "BYTES", "data": texts}]}


def pixels(array: Any, shape: list[int]) -> dict[str, Any]:
    return {"inputs": [{"name": "image", "shape": shape, "datatype": "UINT8", "data": array}]}


def arrays(reply: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: np.array(each["data"]).reshape(each["shape"]) for each in reply["outputs"]}


def test_files_give_the_detections_of_predict(server: Served) -> None:
    images = [png(), png(80, 60, seed=1)]
    expected = Detector(loaded_model(), precision="float32").predict(images, conf=0.01)
    reply = server.post(INFER, {**files(*images), "id": "a"})
    assert reply.status == 200
    assert [reply.json[name] for name in ("model_name", "model_version", "id")] == ["cells", __version__, "a"]
    found = arrays(reply.json)
    for place, result in enumerate(expected):
        count = found["num"][place]
        assert count == len(result)
        assert found["boxes"][place, :count].astype(np.float32).tolist() == result.boxes.tolist()
        assert found["scores"][place, :count].astype(np.float32).tolist() == result.scores.tolist()
        assert found["labels"][place, :count].tolist() == result.label_ids


def test_pixels_give_the_same_as_their_file(server: Served) -> None:
    expected = server.post(INFER, files(png())).json
    flat = rgb().ravel().tolist()
    assert server.post(INFER, pixels(flat, [40, 60, 3])).json == expected
    assert server.post(INFER, pixels(rgb().tolist(), [40, 60, 3])).json == expected
    assert server.post(INFER, pixels([rgb().tolist()], [1, 40, 60, 3])).json == expected


def test_parameters_are_the_options_of_predict(server: Served) -> None:
    reply = server.post(INFER, {**files(png()), "parameters": {"conf": 0.2, "max_det": 2, "classes": "cat"}}).json
    expected = server.predict(png(), conf=0.2, max_det=2, classes="cat").json["predictions"]
    assert arrays(reply)["scores"].ravel().tolist() == [each["confidence"] for each in expected]


def test_only_the_outputs_that_are_named_are_sent(server: Served) -> None:
    reply = server.post(INFER, {**files(png()), "outputs": [{"name": "num"}]}).json
    assert [each["name"] for each in reply["outputs"]] == ["num"]


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 422, "inputs: Field required"),
        ({"inputs": []}, 422, "inputs: "),
        (
            {"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": [""]}]},
            422,
            "inputs are x; there is one",
        ),
        (pixels([1.5] * 12, [2, 2, 3]), 422, "12 values of the kind float64"),
        (pixels([256] * 12, [2, 2, 3]), 422, "needs 12 integers in 0..255: values from 256 to 256"),
        (pixels([-1] * 12, [2, 2, 3]), 422, "values from -1"),
        (pixels([1] * 11, [2, 2, 3]), 422, "11 values"),
        (pixels([[1], [1, 2]], [2, 2, 3]), 422, "image needs 12 integers"),
        (pixels([2**80] * 12, [2, 2, 3]), 422, "image needs 12 integers"),
        (pixels([], [0, 2, 3]), 422, "pixels are [height, width, 3]"),
        (pixels([1], [1]), 422, "pixels are [height, width, 3]"),
        (pixels([1], [2**40, 2**40, 3]), 413, "more than the limit of 1,000,000"),
        (pixels([1] * 36, [3, 2, 2, 3]), 413, "3 images are more than the 2"),
        (files(), 422, "image holds no image"),
        (files(b"none"), 422, "E105 cannot decode image 1"),
        (files(png(), png(), png()), 413, "3 images are more than the 2 that a request may have"),
        ({"inputs": [{"name": "image", "shape": [2], "datatype": "BYTES", "data": ["AAAA"]}]}, 422, "the shape is [1]"),
        ({"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["?"]}]}, 422, "no file in base64"),
        ({"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [3]}]}, 422, "it is int"),
        ({"inputs": [{"name": "image", "shape": [1], "datatype": "FP32", "data": [3]}]}, 422, "give BYTES or UINT8"),
        ({**files(png()), "parameters": {"confidence": 1}}, 422, "parameters: confidence: there is no such option"),
        ({**files(png()), "outputs": [{"name": "masks"}]}, 422, "there is no output 'masks'"),
    ],
)
def test_what_cannot_be_used_has_a_status_and_one_line(
    server: Served, body: dict[str, Any], status: int, text: str
) -> None:
    reply = server.post(INFER, body)
    assert reply.status == status
    assert text in reply.error


def test_another_type_is_refused(server: Served) -> None:
    reply = server.ask("POST", INFER, b"\0", {"Content-Type": "application/octet-stream"})
    assert (reply.status, "send application/json" in reply.error) == (415, True)


def test_server_and_model_describe_themselves(server: Served) -> None:
    assert server.get("/v2").json == {"name": "faster-rcnn", "version": __version__, "extensions": []}
    assert server.get("/v2/health/live").json == {"live": True}
    assert server.get("/v2/health/ready").json == {"ready": True}
    assert server.get("/v2/models/cells/ready").json == {"name": "cells", "ready": True}
    model = server.get("/v2/models/cells").json
    assert model["name"] == "cells"
    assert model["parameters"] == {"classes": {"1": "cat", "5": "dog", "7": "cow"}}
    assert [each["name"] for each in model["outputs"]] == ["boxes", "scores", "labels", "num"]
    assert server.get("/v2/models/other").status == 404
    assert server.post("/v2/models/other/infer", files(png())).status == 404
