"""``Logger``: a callback that sends the numbers, pictures and files of a run to a service that records experiments."""

from __future__ import annotations

import json
import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from faster_rcnn.system.atomic import atomic_write
from faster_rcnn.training.callback import Callback, EpochEnd, RunEnd, RunStart, StepEnd
from faster_rcnn.training.run_folder import DIVERGED, STATE

_LOG = logging.getLogger(__name__)

STEPS = 10
"""Steps whose mean losses are sent together: a service on another machine takes milliseconds for each call."""
KNOWN = "loggers.json"
"""File in the run folder with the services' own names of the run, by which a resumed run goes on there."""


class Logger(Callback):
    """Sends a run to one service; a subclass defines how.

    The columns of ``metrics.csv`` are sent under their own names after each epoch, and the mean losses and the learning
    rate of ``STEPS`` steps as ``step/...``. A service that fails does not end the training: the first failure is logged
    as a warning, and nothing more is sent.
    """

    title: ClassVar[str]
    """Name of the service in messages."""

    def __init__(self) -> None:
        self._failed = False
        self._sums: dict[str, float] = {}
        self._steps = 0

    @abstractmethod
    def begin(self, event: RunStart) -> None:
        """Begin a run, or go on with it where ``event.step`` is not 0."""

    @abstractmethod
    def log_numbers(self, values: Mapping[str, float], step: int) -> None:
        """Send numbers that belong to a step."""

    @abstractmethod
    def log_pictures(self, pictures: Mapping[str, Image.Image], step: int) -> None:
        """Send pictures by their names."""

    @abstractmethod
    def finish(self, event: RunEnd) -> None:
        """Send the files of the run, and end it."""

    def on_run_start(self, event: RunStart) -> None:
        """Begin the run at the service."""
        self._send(partial(self.begin, event))

    def on_step_end(self, event: StepEnd) -> None:
        """Send the mean losses of the last steps."""
        for name, value in {**event.losses, "loss": event.loss}.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._steps += 1
        if self._steps == STEPS:
            means = {f"step/{name}": value / STEPS for name, value in self._sums.items()}
            self._sums, self._steps = {}, 0
            self._send(partial(self.log_numbers, {**means, "step/lr": event.lr}, event.step))

    def on_epoch_end(self, event: EpochEnd) -> None:
        """Send the row of ``metrics.csv``; undefined numbers are left out."""
        values = {name: float(value) for name, value in event.row.items() if value is not None}
        self._send(partial(self.log_numbers, values, event.step))

    def on_run_end(self, event: RunEnd) -> None:
        """Send pictures and files, and end the run at the service, also where it had failed here."""
        if event.pictures:
            self._send(partial(self.log_pictures, event.pictures, event.step))
        self._send(partial(self.finish, event))

    def _send(self, work: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            work()
        except Exception as error:  # noqa: BLE001  # whatever a service raises
            self._failed = True
            reason = (str(error).splitlines() or [""])[0]
            _LOG.warning(
                f"nothing more is sent to {self.title}: {type(error).__name__}: {reason}; the training goes on"
            )


def files_of(folder: Path) -> list[Path]:
    """The files of a run that a service keeps.

    All but the state, which is large and resumes the run here alone, and the bundle of a step that diverged, which
    holds training images.
    """
    left_out = STATE, KNOWN, DIVERGED
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name not in left_out)


def known_run(folder: Path, service: str) -> str | None:
    """The service's own name of the run in a folder; ``None`` before it has one."""
    name = _known(folder).get(service)
    return name if isinstance(name, str) else None


def remember_run(folder: Path, service: str, name: str) -> None:
    """Store the service's own name of the run in its folder."""
    with atomic_write(folder / KNOWN) as temporary:
        temporary.write_text(json.dumps({**_known(folder), service: name}, indent=1, sort_keys=True), encoding="utf-8")


def _known(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / KNOWN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
