"""Data for a region proposal network alone: every class becomes the one class ``object``."""

from __future__ import annotations

from pathlib import Path

import torch

from faster_rcnn.data.objects import OBJECT, without_classes
from faster_rcnn.data.records import Dataset, ImageRecord, Split
from faster_rcnn.structures import ClassMap, GroundTruth, ImageSize


def test_only_classes_and_labels_change() -> None:
    boxes = torch.tensor([[0.0, 0, 2, 2], [1, 1, 3, 4]])
    truth = GroundTruth(boxes, torch.tensor([4, 2]), torch.tensor([False, True]))
    areas, xywh = torch.tensor([4.0, 6.0]).double(), torch.tensor([[0.0, 0, 2, 2], [1, 1, 2, 3]]).double()
    record = ImageRecord(Path("a.jpg"), "a.jpg", 7, ImageSize(5, 6), truth, areas, xywh)
    classes = ClassMap(tuple("abcde"), (1, 2, 3, 4, 5))
    split = Split("train", (record,), classes, ("note",), ("fault",))
    dataset = Dataset(Path("data"), "CSV", classes, {"train": split}, ("train", "val"), ("warning",))

    found = without_classes(dataset)
    assert found.classes is OBJECT
    assert (found.root, found.format, found.found, found.warnings) == (
        Path("data"),
        "CSV",
        ("train", "val"),
        ("warning",),
    )
    changed = found.splits["train"]
    assert (changed.classes, changed.notes, changed.faults) == (OBJECT, ("note",), ("fault",))
    [image] = changed.records
    assert image.truth.labels.tolist() == [0, 0]
    assert image.truth.labels.dtype == truth.labels.dtype
    assert image.truth.boxes is boxes
    assert image.truth.ignored.tolist() == [False, True]
    assert (image.path, image.image_id, image.size, image.areas, image.boxes_xywh) == (
        record.path, 7, record.size, areas, xywh,
    )  # fmt: skip
    assert record.truth.labels.tolist() == [4, 2]  # the original is unchanged
