"""Work that several processes share, for the tests of rounds, of metrics and of commands."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from faster_rcnn.data.reading import load_split
from faster_rcnn.errors import DatasetError, FasterRCNNError
from faster_rcnn.evaluation.detector import measure_in_detail, predict_shares
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.inference.result import Prediction
from faster_rcnn.settings.schema import DataConfig
from faster_rcnn.system.distributed import Processes
from faster_rcnn.system.rounds import take_in_order
from files import loaded_model


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
        return measure_in_detail(_predictor(), split, "tiny", processes), lines
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
