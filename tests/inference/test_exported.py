"""An exported file predicts by the same calls as its detector, and refuses what its graph does not have."""

from __future__ import annotations

import pickle

import pytest
import torch

from exports import C4, SIZE, small_detector, written
from faster_rcnn import Detector
from faster_rcnn.errors import ImageError, OptionError
from faster_rcnn.inference.exported import exported_detector
from faster_rcnn.structures import Detections
from faster_rcnn.weights.exported import MAX_BATCH
from tiny import random_image

pytestmark = pytest.mark.xdist_group("exports")


def assert_same(found: Detections, expected: Detections) -> None:
    assert len(found) == len(expected) > 0
    torch.testing.assert_close(found.boxes, expected.boxes, rtol=0, atol=0.01)
    torch.testing.assert_close(found.scores, expected.scores, rtol=0, atol=1e-4)
    assert torch.equal(found.labels, expected.labels)


def test_images_of_several_sizes_have_the_detections_of_the_detector() -> None:
    ours, exported = Detector(small_detector(C4), "cpu", "float32"), Detector.load(written("onnx", prepares=True))
    images = [random_image(*SIZE), random_image(120, 70, 1), random_image(*SIZE, 2)]
    for found, expected in zip(exported.predict(images, conf=0.0), ours.predict(images, conf=0.0), strict=True):
        assert_same(found.detections, expected.detections)
    assert exported.classes == ours.classes


def test_candidates_take_every_choice_of_nms() -> None:
    ours, exported = Detector(small_detector(C4), "cpu", "float32"), Detector.load(written("openvino", nms=False))
    image = random_image(*SIZE, 3)
    for choice in ({}, {"iou": 0.2}, {"agnostic_nms": True}, {"classes": "b,c"}):
        found, expected = (each.predict(image, conf=0.0, **choice) for each in (exported, ours))
        assert_same(found.detections, expected.detections)


def test_a_graph_with_nms_leaves_out_classes_and_takes_no_other_threshold() -> None:
    exported = Detector.load(written("onnx", prepares=True))
    name = exported.predict(random_image(*SIZE), conf=0.0).names[0]
    assert set(exported.predict(random_image(*SIZE), conf=0.0, classes=name).names) == {name}
    with pytest.raises(OptionError, match="--nms none"):
        exported.predict(random_image(*SIZE), iou=0.2)


def test_a_file_for_one_size_refuses_another() -> None:
    exported = Detector.load(written("pt2", prepares=True, size=SIZE))
    assert len(exported.predict(random_image(*SIZE), conf=0.0)) > 0
    with pytest.raises(ImageError, match="takes 130x90 alone"):
        exported.predict(random_image(90, 131))


def test_more_images_than_a_graph_takes_are_given_in_parts() -> None:
    found = exported_detector(written("pt2")).detect([random_image(40, 60)] * (MAX_BATCH + 1))
    assert_same(found[MAX_BATCH], found[0])


@pytest.mark.parametrize("file", ["pt2", "onnx"])
def test_an_image_with_a_tiny_side_is_refused(file: str) -> None:
    exported = Detector.load(written(file, prepares=file == "onnx"))
    with pytest.raises(ImageError, match=r"E120 .*an image of 900x4 pixels is .* takes no side below 32"):
        exported.predict(random_image(4, 900))


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"precision": "int8"}, "computes in float32"),
        ({"settings": "roi.nms_iou=0.2"}, "settings in its graph"),
        ({"compile": True}, "exported file"),
    ],
)
def test_options_of_a_model_file_are_refused(options: dict[str, object], part: str) -> None:
    with pytest.raises(OptionError, match=part):
        Detector.load(written("pt2", prepares=True, size=SIZE), **options)  # type: ignore[arg-type]


def test_a_detector_of_a_file_travels_by_its_name() -> None:
    exported = Detector.load(written("pt2", prepares=True, size=SIZE))
    again = pickle.loads(pickle.dumps(exported))
    assert_same(
        again.predict(random_image(*SIZE), conf=0.0).detections,
        exported.predict(random_image(*SIZE), conf=0.0).detections,
    )


def test_stages_are_refused() -> None:
    with pytest.raises(OptionError, match="has no single stages"):
        Detector.load(written("pt2", prepares=True, size=SIZE)).trace(random_image(*SIZE))
