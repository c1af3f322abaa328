from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from faster_rcnn.data.reading import load_split
from faster_rcnn.explanation.causes.false_positives import FalseKind, false_positives
from faster_rcnn.explanation.causes.kinds import Thresholds
from faster_rcnn.explanation.dataset.labels import LabelBank, bank_of, made_bank, with_missing_labels
from faster_rcnn.explanation.record.recorder import record
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.tiles import Tiling
from faster_rcnn.settings.schema import DataConfig
from files import coco_folder
from made_surveys import TINY_BOXES, tiny_detector
from tiny import truth_of

PLACE = (0.0, 0.0, 10.0, 10.0)


def bank(vectors: Sequence[Sequence[float]], labels: Sequence[int], images: Sequence[str]) -> LabelBank:
    return made_bank(torch.tensor(vectors, dtype=torch.float32), labels, images, [PLACE] * len(labels))


# Four vectors at right angles, whose mean is 0: two of class 0 point right and up, two of class 1 left and down.
CROSS = bank([[1, 0], [0, 1], [-1, 0], [0, -1]], [0, 0, 1, 1], ["a", "b", "a", "b"])


def test_limits_are_the_similarities_between_images() -> None:
    assert CROSS.mean.tolist() == [0, 0]
    assert CROSS.limits == pytest.approx({0: 0.0, 1: 0.0})  # right angles
    same_image = bank([[1, 0], [1, 0.0], [-1, 0], [-1, 0]], [0, 0, 1, 1], ["a", "a", "b", "c"])
    assert same_image.limits == pytest.approx({0: 2.0, 1: 1.0})  # no other image shows class 0


def test_nearest_regions_come_first() -> None:
    found = CROSS.nearest(torch.tensor([2.0, 1.0]))
    # cosines of (2, 1) with right, up and down: 2, 1 and -1, each over the root of 5
    assert [each.label for each in found] == [0, 0, 1]
    assert [each.similarity for each in found] == pytest.approx([2 / 5**0.5, 1 / 5**0.5, -1 / 5**0.5])
    assert (found[0].image, found[0].box) == ("a", PLACE)


def test_a_missing_label_resembles_most_of_its_neighbours() -> None:
    found = CROSS.nearest(torch.tensor([2.0, 1.0]))
    assert CROSS.resembles(0, found)
    assert not CROSS.resembles(1, found)
    strict = replace(CROSS, limits={0: 0.95, 1: 0.95})
    assert not strict.resembles(0, found)  # 0.894 is too little


def data_of(folder: Path, boxes: list[list[tuple[float, ...]]] = TINY_BOXES) -> Path:
    return coco_folder(folder, boxes, split="train")


def tiny_bank(folder: Path, predictor: Predictor) -> LabelBank:
    found = bank_of(predictor, load_split(data_of(folder), DataConfig(), "train").split("train").records)
    assert found is not None
    return found


def test_vectors_are_the_inputs_of_the_class_layer(tmp_path: Path) -> None:
    """The logits of a region are the class layer's of its vector."""
    predictor = Predictor(tiny_detector())
    found = tiny_bank(tmp_path, predictor)
    assert found.labels == (0, 1, 2)
    assert [Path(each).name for each in found.images] == ["1.png", "1.png", "2.png"]
    assert found.boxes[0] == (5.0, 5.0, 35.0, 25.0)
    whole = record(predictor, found.images[2], 0.0).whole
    box = whole.in_part(torch.tensor([found.boxes[2]]))
    with torch.no_grad():
        vector: Tensor = whole.network.roi.head(whole.network.roi.pool(list(whole.features), [box]))
    nearest = found.nearest(vector[0])[0]
    assert (nearest.label, nearest.image) == (2, found.images[2])
    assert nearest.similarity == pytest.approx(1.0, abs=1e-5)


def test_training_images_without_objects_have_no_bank(tmp_path: Path) -> None:
    records = load_split(data_of(tmp_path, [[(0, 1, 1, 9, 9)], []]), DataConfig(), "train").split("train").records
    assert bank_of(Predictor(tiny_detector()), records[1:]) is None


@pytest.mark.parametrize("tiling", [None, Tiling(45, 0.2)])
def test_detections_on_background_that_resemble_labels_are_named(tmp_path: Path, tiling: Tiling | None) -> None:
    predictor = Predictor(tiny_detector(), tiling=tiling)
    found = tiny_bank(tmp_path, predictor)
    recording = record(predictor, found.images[0], 0.3)
    truth = truth_of([[55, 35, 60, 40]], [0])
    false = false_positives(recording.detections, truth, Thresholds(0.3))
    label = next(each.label for each in false if each.kind == FalseKind.BACKGROUND)
    found = replace(found, labels=(label,) * len(found.labels))
    lenient = replace(found, limits={label: -1.0})
    named, neighbours = with_missing_labels(recording, recording.detections, false, lenient)
    missing = [each for each in named if each.kind == FalseKind.MISSING_LABEL]
    assert missing
    assert [each.detection for each in missing] == sorted(neighbours)
    assert {each.label for each in missing} == {label}
    before = {each.detection: each.kind for each in false}
    assert {before[each.detection] for each in missing} == {FalseKind.BACKGROUND}
    strict = replace(found, limits={label: 1.1})
    assert with_missing_labels(recording, recording.detections, false, strict) == (false, {})


def test_a_bank_of_one_class_and_one_region() -> None:
    single = bank([[1.0, 2.0]], [0], ["a"])
    assert_close(single.vectors, torch.zeros(1, 2))  # nothing is left beside the mean
    assert not single.resembles(0, single.nearest(torch.tensor([5.0, 5.0])))
