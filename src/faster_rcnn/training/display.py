"""What a user sees of a training run: a bar with the losses, one of validation, and a line per epoch."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from faster_rcnn.system.progress import Meter, progress
from faster_rcnn.training.step import StepLosses

_LOG = logging.getLogger(__name__)

SMOOTHING = 0.9
"""Weight of a step in the means of the losses that are shown, as a share of the weight of the step after it."""


class TrainingDisplay:
    """Told by the loop; use it in a ``with`` block, so that an interruption leaves the terminal clean."""

    def __init__(self, epochs: int, shown: Sequence[str]) -> None:
        """``shown``: validation numbers of the line per epoch."""
        self.epochs = epochs
        self._columns = tuple(shown)
        self._bar = ExitStack()
        self._meter: Meter | None = None
        self._sums: dict[str, float] = {}
        self._weight = 0.0

    def __enter__(self) -> TrainingDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def epoch_starts(self, epoch: int, steps: int, done: int) -> None:
        """A new bar, that goes on after the steps that were done before an interruption."""
        self._meter = self._bar.enter_context(progress(f"epoch {epoch + 1}/{self.epochs}", steps, done=done))

    def step_ends(self, losses: StepLosses, lr: float) -> None:
        """Move the bar, and show the smoothed losses."""
        self._weight = SMOOTHING * self._weight + 1
        for name, value in losses.named.items():
            self._sums[name] = SMOOTHING * self._sums.get(name, 0.0) + value
        if self._meter:
            shown = {name: value / self._weight for name, value in self._sums.items()}
            self._meter.advance({"loss": sum(shown.values()), **shown, "lr": lr})

    def validation_starts(self, images: int) -> None:
        """The bar of the epoch is done; a second one counts images of the validation split."""
        self._bar.close()
        self._meter = self._bar.enter_context(progress("validating", images, passing=True))

    def images_validated(self, images: int) -> None:
        """So many more images were validated."""
        if self._meter:
            self._meter.advance(steps=images)

    def epoch_ends(self, row: Mapping[str, Any], best: bool) -> None:
        """The epoch in one line, of less than 80 letters."""
        self._bar.close()
        train = sum(value for name, value in row.items() if name.startswith("train_"))
        losses = f"loss {train:.3f}"
        parts: list[str] = []
        if "AP" in row:
            val = sum(value for name, value in row.items() if name.startswith("val_"))
            losses += f", validation {val:.3f}"
            parts = [f"{name} {_number(row[name])}" for name in self._columns] + (
                ["best so far"] if best and row[self._columns[0]] else []
            )
        _LOG.info("  ".join([f"epoch {row['epoch']}/{self.epochs}", losses, *parts]))


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"
