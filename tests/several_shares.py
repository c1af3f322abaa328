"""Work that several processes share, for the tests of rounds, of metrics and of commands."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from faster_rcnn.data.reading import load_split
from faster_rcnn.data.records import ImageRecord, Split
from faster_rcnn.errors import DatasetError, FasterRCNNError
from faster_rcnn.evaluation import engine
from faster_rcnn.evaluation.detector import measure_detector, predict_shares
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.evaluation.shards import measure_shares
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.inference.result import Prediction
from faster_rcnn.settings.schema import DataConfig
from faster_rcnn.structures import ClassMap, Detections, GroundTruth, ImageSize
from faster_rcnn.system.distributed import Processes
from faster_rcnn.system.rounds import take_in_order
from files import loaded_model

SIZE = ImageSize(100, 200)
CLASSES = ClassMap(("cat", "dog", None, "cow"), (9, 2, 3, 5))


def taken(processes: Processes, total: int, per_round: int) -> tuple[list[str], int]:
    """The values that this process took, and how many items it had computed at most before a value was taken."""
    got: list[str] = []
    computed, ahead = 0, 0

    def values() -> Iterator[str]:
        nonlocal computed
        for item in processes.share(range(total)):
            computed += 1
            yield f"{item} of {processes.rank}"

    def take(value: str) -> None:
        nonlocal ahead
        ahead = max(ahead, computed * processes.count - len(got))
        got.append(value)

    take_in_order(values(), total, processes, take, per_round)
    return got, ahead


def failing_values(processes: Processes, rank: int, item: int) -> tuple[str, str, int]:
    """Process ``rank`` fails at one of its items. Gives the error here, and how many items were computed here."""
    computed = 0

    def values() -> Iterator[int]:
        nonlocal computed
        for number in range(100):
            if (processes.rank, number) == (rank, item):
                raise DatasetError(f"item {number} cannot be read")
            computed += 1
            yield number

    try:
        take_in_order(values(), 100 * processes.count, processes, lambda _: None, per_round=4)
    except FasterRCNNError as error:
        return type(error).__name__, str(error), computed
    raise AssertionError("no process has failed")


def failing_take(processes: Processes) -> None:
    """The first process cannot use a value."""

    def take(value: int) -> None:
        raise DatasetError(f"{value} cannot be written")

    take_in_order(iter(processes.share(range(50))), 50, processes, take)


def killed_among_values(processes: Processes) -> None:
    """The last process is killed in its second round."""

    def values() -> Iterator[int]:
        for number in range(100):
            if number == 6 and processes.rank == processes.count - 1:
                os.kill(os.getpid(), signal.SIGKILL)
            yield number

    take_in_order(values(), 100 * processes.count, processes, lambda _: None, per_round=4)


def tied_split(images: int, seed: int = 0) -> tuple[Split, dict[int, Detections]]:
    """Truths and detections with many equal scores and ids of both kinds; some images are empty, one is unreadable."""
    random = np.random.default_rng(seed)
    numbers = random.permutation(images).tolist()
    records, found = [], {}
    for place, number in enumerate(numbers):
        boxes, labels = _boxes(random, int(random.integers(0, 6)) if number % 5 else 0)
        records.append(_record(f"image {number}" if number % 3 == 0 else number, boxes, labels, random))
        if number != 7:
            found[place] = _tied_detections(random, boxes, labels)
    return Split("test", tuple(records), CLASSES, ()), found


def _boxes(random: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    corners = torch.from_numpy(random.uniform(0, 90, (count, 2)))
    sides = torch.from_numpy(random.uniform(2, 100, (count, 2)))
    return torch.cat([corners, corners + sides], 1).float(), torch.from_numpy(random.choice([0, 1, 3], count))


def _record(image_id: int | str, boxes: torch.Tensor, labels: torch.Tensor, random: np.random.Generator) -> ImageRecord:
    xywh = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1).double()
    crowds = torch.from_numpy(random.random(len(boxes)) < 0.2)
    areas = xywh[:, 2] * xywh[:, 3] * 0.7
    name = f"{image_id}.png"
    return ImageRecord(Path(name), name, image_id, SIZE, GroundTruth(boxes, labels, crowds), areas, xywh)


def _tied_detections(random: np.random.Generator, boxes: torch.Tensor, labels: torch.Tensor) -> Detections:
    """Each truth twice, a little moved, and some boxes on background; scores have one decimal."""
    moved = torch.cat([boxes, boxes]) + torch.from_numpy(random.normal(0, 3, (2 * len(boxes), 4))).float()
    others, other_labels = _boxes(random, int(random.integers(0, 4)))
    every = torch.cat([moved, others])
    scores = torch.from_numpy(random.random(len(every)).round(1)).float()
    return Detections(every, scores, torch.cat([labels, labels, other_labels]))[torch.argsort(-scores, stable=True)]


def measured_in_shares(processes: Processes, images: int, hotcoco: dict[int, str]) -> Metrics:
    """Metrics of the detections of every process; ``hotcoco`` names the processes without it, or with an old one."""
    split, found = tied_split(images)
    kind = hotcoco.get(processes.rank)
    here = set(processes.share(range(images)))
    part = {place: each for place, each in found.items() if place in here}
    with pytest.MonkeyPatch.context() as patch:
        if kind is not None:
            patch.setattr(engine, "hotcoco", None if kind == "absent" else _OldHotcoco())
        return measure_shares(split, part, processes)


class _OldHotcoco:
    """hotcoco before 1.3: parts of an evaluation could not be merged."""

    __version__ = "1.2.0"

    class StreamingEval:
        pass

    def __getattr__(self, name: str) -> Any:
        return getattr(__import__("hotcoco"), name)


def measured_by_detector(processes: Processes, data: Path) -> tuple[Metrics | str, list[str]]:
    """Metrics of a tiny detector on a folder, or the error; and the lines that this process logged about it."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("faster_rcnn")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    split = load_split(data, DataConfig(), "test").split("test")
    try:
        return measure_detector(_predictor(), split, "tiny", processes), lines
    except FasterRCNNError as error:
        return f"{type(error).__name__} {error}", lines
    finally:
        logger.removeHandler(handler)


def kept_in_shares(processes: Processes, data: Path) -> list[Any]:
    """What this process gets for each image."""
    split = load_split(data, DataConfig(), "test").split("test")
    got: list[Any] = []

    def keep(place: int, one: Prediction) -> tuple[int, int, list[float]]:
        return place, processes.rank, one.result.scores.tolist()

    predict_shares(_predictor(), split, processes, keep, got.append)
    return got


def _predictor() -> Predictor:
    return Predictor(prepare(loaded_model(), torch.device("cpu"), torch.float32, exact=True))
