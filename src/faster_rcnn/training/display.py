"""The command's own callback: a bar with the losses, one of validation, and a line per epoch."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from faster_rcnn.system.progress import Meter, progress
from faster_rcnn.training.callback import (
    Callback,
    EpochEnd,
    EpochStart,
    RunEnd,
    StepEnd,
    ValidationStart,
    ValidationStep,
)

_LOG = logging.getLogger(__name__)

SMOOTHING = 0.9
"""Weight of a step in the means of the losses that are shown, as a share of the weight of the step after it."""


class TrainingDisplay(Callback):
    """Counts steps and validated images for the display of progress, and logs one line per epoch."""

    def __init__(self, columns: Sequence[str]) -> None:
        """``columns``: metrics in the line of an epoch; the first one decides which epoch is the best."""
        self._columns = tuple(columns)
        self._bar = ExitStack()
        self._meter: Meter | None = None
        self._sums: dict[str, float] = {}
        self._weight = 0.0

    def on_epoch_start(self, event: EpochStart) -> None:
        """Begin a bar, with the steps that were made before an interruption as done."""
        label = f"epoch {event.epoch}/{event.epochs}"
        self._meter = self._bar.enter_context(progress(label, event.steps, done=event.done))

    def on_step_end(self, event: StepEnd) -> None:
        """Move the bar, and show the smoothed losses."""
        self._weight = SMOOTHING * self._weight + 1
        for name, value in event.losses.items():
            self._sums[name] = SMOOTHING * self._sums.get(name, 0.0) + value
        if self._meter:
            shown = {name: value / self._weight for name, value in self._sums.items()}
            self._meter.advance({"loss": sum(shown.values()), **shown, "lr": event.lr})

    def on_validation_start(self, event: ValidationStart) -> None:
        """End the bar of the epoch, and begin one that counts images of the validation split."""
        self._bar.close()
        self._meter = self._bar.enter_context(progress("validating", event.images, passing=True))

    def on_validation_step(self, event: ValidationStep) -> None:
        """Count one more image."""
        if self._meter:
            self._meter.advance()

    def on_epoch_end(self, event: EpochEnd) -> None:
        """Log the epoch in one line of less than 80 letters."""
        self._bar.close()
        losses = f"loss {_sum(event.row, 'train_'):.3f}"
        parts: list[str] = []
        if "AP" in event.row:
            losses += f", validation {_sum(event.row, 'val_'):.3f}"
            best = ["best so far"] if event.best and event.row[self._columns[0]] else []
            parts = [f"{name} {_number(event.row[name])}" for name in self._columns] + best
        _LOG.info("  ".join([f"epoch {event.epoch}/{event.epochs}", losses, *parts]))

    def on_run_end(self, event: RunEnd) -> None:
        """End the bar, so that an interruption leaves the terminal clean."""
        self._bar.close()


def _sum(row: Mapping[str, float | None], prefix: str) -> float:
    return sum(value for name, value in row.items() if name.startswith(prefix) and value is not None)


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"
