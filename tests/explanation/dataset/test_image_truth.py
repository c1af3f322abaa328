from __future__ import annotations

from pathlib import Path

import pytest
import torch

from faster_rcnn.errors import ModelFileError, OptionError
from faster_rcnn.explanation.dataset.image_truth import truth_in_data
from faster_rcnn.inference.prepared import PreparedDetector, prepare
from faster_rcnn.structures import ClassMap
from files import coco_folder, loaded_model

BOXES = [[(0, 1, 2, 30, 20)], [(1, 5, 5, 10, 10), (2, 20, 10, 20, 20)]]


def detector_of(*names: str) -> PreparedDetector:
    loaded = loaded_model(ClassMap(names, tuple(range(1, len(names) + 1))))
    return prepare(loaded, torch.device("cpu"), torch.float32, exact=True)


def test_the_truth_is_that_of_the_image_in_the_labels_of_the_detector(tmp_path: Path) -> None:
    data = coco_folder(tmp_path / "data", BOXES)
    truth = truth_in_data(data / "images" / "2.png", data, detector_of("cow", "dog", "cat"))
    assert truth.boxes.tolist() == [[5, 5, 15, 15], [20, 10, 40, 30]]
    assert truth.labels.tolist() == [1, 0]  # the data has cat, dog, cow


def test_truths_of_other_classes_are_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = coco_folder(tmp_path / "data", BOXES)
    truth = truth_in_data(data / "images" / "2.png", data, detector_of("dog"), split="test")
    assert truth.labels.tolist() == [0]
    assert "cow" in caplog.text


def test_an_image_that_is_not_in_the_data_and_a_split_that_is_not_there_are_refused(tmp_path: Path) -> None:
    data = coco_folder(tmp_path / "data", BOXES)
    with pytest.raises(OptionError, match=r"elsewhere\.png is no image of .*\(test\).*leave out --data"):
        truth_in_data(tmp_path / "elsewhere.png", data, detector_of("dog"))
    with pytest.raises(OptionError, match="no split 'val'"):
        truth_in_data(data / "images" / "2.png", data, detector_of("dog"), split="val")
    with pytest.raises(ModelFileError, match="no class in common"):
        truth_in_data(data / "images" / "2.png", data, detector_of("horse"))
