"""Settings with which data are read for a detector, and detections of a split."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from faster_rcnn.data.reading import load_split
from faster_rcnn.evaluation.detector import measure_detector, predict_shares, settings_for, split_to_measure
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.inference.result import Prediction
from faster_rcnn.inference.tiles import Tiling
from faster_rcnn.settings.schema import DataConfig
from faster_rcnn.structures import ClassMap
from faster_rcnn.system.distributed import ALONE
from files import coco_folder, loaded_model
from several import in_processes
from several_shares import kept_in_shares, measured_by_detector

BOXES: list[list[tuple[float, ...]]] = [[(0, 5, 5, 30, 20)], [], []]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return coco_folder(tmp_path / "data", BOXES)


def test_data_are_read_as_for_training_without_paths_elsewhere(data: Path, tmp_path: Path) -> None:
    trained_on = DataConfig(
        voc_offset=0,
        test="annotations/test.json",
        val=str(tmp_path / "other.json"),
        train="annotations/absent.json",
        images="../data/images",
    )
    settings = settings_for(data, trained_on)
    assert (settings.voc_offset, settings.test, settings.val, settings.train, settings.images) == (
        *(0, "annotations/test.json", None, None, "../data/images"),
    )
    assert settings_for(data / "annotations" / "test.json", DataConfig()) == DataConfig()
    assert settings_for(data, DataConfig(train="a\0b", val="a\ud800b")) == DataConfig()  # no file has these


def test_images_in_tiles_may_be_larger(data: Path) -> None:
    limit = DataConfig(max_pixels=1000)
    assert settings_for(data, limit).max_pixels == 1000
    assert settings_for(data, limit, Tiling(30, 0.2)).max_pixels > 100_000_000


def test_every_image_of_a_split_is_predicted_in_order(data: Path) -> None:
    part = load_split(data, DataConfig(), "test").split("test")
    predictor = Predictor(prepare(loaded_model(), torch.device("cpu"), torch.float32))
    found: dict[int, Prediction] = {}
    predict_shares(predictor, part, ALONE, found.__setitem__, lambda _: None)
    assert list(found) == [0, 1, 2]
    assert all(len(each.result) > 0 for each in found.values())


def test_notes_of_data_and_classes_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = coco_folder(tmp_path / "other", BOXES, ClassMap(("cat",), (4,)))
    with caplog.at_level(logging.INFO):
        part = split_to_measure(data, DataConfig(), None)
        predictor = Predictor(prepare(loaded_model(), torch.device("cpu"), torch.float32))
        assert measure_detector(predictor, part, "tiny").truths == 1
    assert "test: COCO JSON from test.json: 3 images" in caplog.text
    assert "the detector has 2 classes that the data lacks; their detections are left out: cat" not in caplog.text
    assert "the detector has 2 classes that the data lacks" in caplog.text
    assert "classes are matched by name: cat 1 -> 4" in caplog.text


@pytest.fixture
def several_images(tmp_path: Path) -> Path:
    rows: list[list[tuple[float, ...]]] = [[(place % 3, 5, 5, 30, 20)] if place % 2 else [] for place in range(7)]
    return coco_folder(tmp_path / "several", rows)


def damage(data: Path, *numbers: int) -> None:
    """Replace bytes in the middle of images, which only decoding them finds."""
    for number in numbers:
        path = data / "images" / f"{number}.png"
        content = path.read_bytes()
        path.write_bytes(content[:1000] + bytes(1000) + content[2000:])


@pytest.mark.xdist_group("several processes")
def test_several_processes_predict_and_measure_as_one(several_images: Path) -> None:
    damage(several_images, 4)  # process 1 of 2 reads it, and process 0 of 3
    of_one = kept_in_shares(ALONE, several_images)
    metrics, lines = measured_by_detector(ALONE, several_images)
    assert (of_one[3], len(of_one), sum("it is left out, with its truth" in line for line in lines)) == (None, 7, 1)
    for count in (2, 3):
        first, *others = in_processes(count, kept_in_shares, several_images)
        assert others == [[]] * (count - 1)
        # Process i % count predicts image i; the first process gets the numbers of all.
        assert first == [one and (one[0], one[0] % count, one[2]) for one in of_one]
        measured = in_processes(count, measured_by_detector, several_images)
        assert measured == [(metrics, lines), *[(metrics, [])] * (count - 1)]


@pytest.mark.xdist_group("several processes")
def test_the_rule_of_5_percent_counts_the_images_of_all_processes(several_images: Path) -> None:
    damage(several_images, 1, 2)  # one in each process: alone, each of them would leave it out
    [(first, lines), (second, of_second)] = in_processes(2, measured_by_detector, several_images)
    assert "DatasetError E105 2 of 7 images of test cannot be decoded" in str(first)
    assert "ElsewhereError process 0 of 2: E105 2 of 7 images" in str(second)
    assert (len([line for line in lines if line.endswith("with its truth")]), of_second) == (2, [])
