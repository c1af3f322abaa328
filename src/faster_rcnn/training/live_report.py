"""``report.html`` while a run goes on: written after each epoch, by a page that refreshes itself until the run ends."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from faster_rcnn.training.callback import Callback, EpochEnd, RunEnd
from faster_rcnn.training.report import write_report
from faster_rcnn.training.running import Run
from faster_rcnn.training.summary import summary_of
from faster_rcnn.training.validation import Validation

SECONDS = 10
"""Time after which an open page loads its file again."""


class LiveReport(Callback):
    """Writes the report of a run that goes on; the last one, with pictures, is written where the run is finished."""

    def __init__(self, run: Run, data: Path, measured: Mapping[int, Validation], began: float) -> None:
        """Start without a page.

        Args:
            run: the run that goes on.
            data: path of the data as the user gave it.
            measured: metrics of the epochs that this process measured, counted from 0; filled by the run.
            began: start of the work by ``time.perf_counter``.
        """
        self._run, self._data, self._measured, self._began = run, data, measured, began

    def on_epoch_end(self, event: EpochEnd) -> None:
        """Write the page with all epochs so far."""
        if event.epoch < event.epochs:
            self._write(f"epoch {event.epoch} of {event.epochs} is done", refresh=SECONDS)

    def on_run_end(self, event: RunEnd) -> None:
        """Write the page of a run that ended early, which no longer refreshes itself."""
        if event.error is not None and self._run.progress.rows:
            self._write(event.reason, refresh=None)

    def _write(self, state: str, refresh: int | None) -> None:
        run = self._run
        summary = summary_of(run, self._data, state, time.perf_counter() - self._began)
        best = self._measured.get(run.progress.best_epoch)
        metrics = None if best is None else best.metrics
        write_report(run.folder, summary, run.progress.rows, run.config, metrics, [], refresh)
