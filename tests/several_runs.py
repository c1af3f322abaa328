"""Training runs in several processes, for tests/training/test_several.py."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from faster_rcnn.data import training_image
from faster_rcnn.data.decode import decode_image
from faster_rcnn.errors import ImageError
from faster_rcnn.losses import Losses
from faster_rcnn.model import FasterRCNN
from faster_rcnn.structures import TrainingBatch
from faster_rcnn.system.distributed import Processes
from faster_rcnn.training.callback import Callback, EpochEnd, StepEnd
from made_data import train_with


class Watching(Callback):
    """Notes the losses of each step, and sends SIGTERM to its process after one of them."""

    def __init__(self, stop: int | None = None) -> None:
        self.losses: list[float] = []
        self.images: list[int] = []
        self.rows: list[dict[str, Any]] = []
        self._stop = stop

    def on_step_end(self, event: StepEnd) -> None:
        self.losses.append(event.loss)
        self.images.append(event.images)
        if len(self.losses) == self._stop:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_epoch_end(self, event: EpochEnd) -> None:
        self.rows.append(dict(event.row))


def trained(processes: Processes, data: Path, options: dict[str, Any], stop: int | None = None) -> dict[str, Any]:
    """Train; returns what the callbacks and the log of this process got."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("faster_rcnn")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    watching = Watching(stop)
    folder = train_with(data, callbacks=[watching], **options)
    return {
        "folder": folder,
        "losses": watching.losses,
        "images": watching.images,
        "rows": watching.rows,
        "log": lines,
        "threads": torch.get_num_threads(),
    }


def trained_with_other_batch(processes: Processes, data: Path, options: dict[str, Any]) -> None:
    train_with(data, **options, batch=4 + processes.rank)


def trained_on_its_own(processes: Processes, data: list[Path], options: dict[str, Any]) -> None:
    train_with(data[processes.rank], **options)


def killed(processes: Processes, data: Path, options: dict[str, Any], rank: int, step: int) -> None:
    """One process is killed in a step; the others end."""
    steps = 0

    def kill(*_: object) -> None:
        nonlocal steps
        steps += 1
        if steps == step and processes.rank == rank:
            os.kill(os.getpid(), signal.SIGKILL)

    register_optimizer_step_pre_hook(kill)
    train_with(data, **options)


def restarted(processes: Processes, data: Path, options: dict[str, Any]) -> dict[str, Any]:
    """As torchrun starts all processes again after one of them ended."""
    os.environ |= {"TORCHELASTIC_MAX_RESTARTS": "3", "TORCHELASTIC_RESTART_COUNT": "1"}
    return trained(processes, data, options)


def with_damage(processes: Processes, data: Path, options: dict[str, Any], count: int) -> dict[str, Any]:
    """Some images cannot be decoded, wherever they are read."""

    def broken(path: Path, most_pixels: int) -> Any:
        if path.name in [f"train{number}.png" for number in range(count)]:
            raise ImageError(f"{path.name} is damaged")
        return decode_image(path, most_pixels)

    with patch.object(training_image, "decode_image", broken):
        return trained(processes, data, options)


def failing_callback(processes: Processes, data: Path, options: dict[str, Any]) -> None:
    class Failing(Callback):
        def on_step_end(self, event: StepEnd) -> None:
            raise ValueError("of the callback")

    train_with(data, callbacks=[Failing()], **options)


def trained_with_little_memory(processes: Processes, data: Path, options: dict[str, Any]) -> None:
    """Train on a device that holds one image."""
    forward = FasterRCNN.forward

    def limited(model: FasterRCNN, batch: TrainingBatch) -> Losses:
        if len(batch.images) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(model, batch)

    with patch.object(FasterRCNN, "forward", limited):
        train_with(data, **options)
