"""Metrics of a split: images that could not be read are left out with their truth."""

from __future__ import annotations

from pathlib import Path

import torch

from faster_rcnn.data.reading import load_split
from faster_rcnn.evaluation.split import measure_split, truths_of
from faster_rcnn.settings.schema import DataConfig
from faster_rcnn.structures import Detections
from files import coco_folder


def test_unread_images_are_left_out_and_empty_ones_are_not(tmp_path: Path) -> None:
    data = coco_folder(tmp_path / "data", [[(0, 5, 5, 30, 20)], [(1, 0, 0, 12, 12)], []])
    split = load_split(data, DataConfig(), "test").split("test")
    assert [one.truth.labels.tolist() for one in truths_of(split.records)] == [[0], [1], []]
    perfect = Detections(torch.tensor([[5.0, 5.0, 35.0, 25.0]]), torch.tensor([0.9]), torch.tensor([0]))
    none = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    # The cat is found, and the image with the dog could not be read: AP is that of the cat alone.
    both = measure_split(split, {0: perfect, 2: none})
    assert (both.images, both.truths, round(both.ap or 0, 6)) == (2, 1, 1.0)
    # With the dog's image, in which nothing is found, AP is the mean of 1 and 0.
    every = measure_split(split, {2: none, 1: none, 0: perfect})
    assert (every.images, every.truths, round(every.ap or 0, 6)) == (3, 2, 0.5)
