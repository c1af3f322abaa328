"""``Callback``: what a program may do while a detector is trained, and the values that it gets."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from faster_rcnn.settings.schema import Config

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class RunStart:
    """A run begins, or goes on after an interruption."""

    folder: Path
    """Run folder; in alternating training the folder of one of its four steps."""
    config: Config
    """All settings of the run."""
    epochs: int
    """Epochs of the whole run."""
    steps: int
    """Steps of the whole run."""
    step: int
    """Steps that were made before an interruption; 0 in a new run."""


@dataclass(frozen=True, slots=True, eq=False)
class EpochStart:
    """An epoch begins, or goes on in its middle."""

    epoch: int
    """Number of the epoch, from 1."""
    epochs: int
    """Epochs of the whole run."""
    steps: int
    """Steps of this epoch."""
    done: int
    """Steps of this epoch that were made before an interruption."""


@dataclass(frozen=True, slots=True, eq=False)
class StepEnd:
    """One step of training was made."""

    epoch: int
    """Number of the epoch, from 1."""
    step: int
    """Steps of the run that were made so far."""
    losses: Mapping[str, float]
    """Weighted losses of the step by name: rpn_objectness, rpn_box, roi_class, roi_box, or those of one stage."""
    loss: float
    """Their sum, which the step minimised."""
    lr: float
    """Learning rate of the step."""
    images: int
    """Images of the step."""


@dataclass(frozen=True, slots=True, eq=False)
class ValidationStart:
    """The steps of an epoch are made, and the validation split is measured next."""

    epoch: int
    """Number of the epoch, from 1."""
    images: int
    """Images of the validation split."""


@dataclass(frozen=True, slots=True, eq=False)
class ValidationStep:
    """One image of the validation split was measured."""

    epoch: int
    """Number of the epoch, from 1."""
    done: int
    """Images that were measured so far."""


@dataclass(frozen=True, slots=True, eq=False)
class ValidationEnd:
    """The validation split was measured."""

    epoch: int
    """Number of the epoch, from 1."""
    metrics: Mapping[str, float | None]
    """Losses (``val_...``) and COCO metrics as in ``metrics.csv``, 0..1; ``None`` where undefined."""


@dataclass(frozen=True, slots=True, eq=False)
class EpochEnd:
    """An epoch is done: its row of ``metrics.csv`` and, if it is the best so far, the best model are written."""

    epoch: int
    """Number of the epoch, from 1."""
    epochs: int
    """Epochs of the whole run."""
    step: int
    """Steps of the run that were made so far."""
    row: Mapping[str, float | None]
    """The row of ``metrics.csv``, by its columns; without a validation split it has no metrics."""
    best: bool
    """Whether no earlier epoch was as good; every epoch is where there is no validation split."""
    best_model: Path
    """The file of the best model so far."""


@dataclass(frozen=True, slots=True, eq=False)
class RunEnd:
    """A run ended, with its report and summary written, or was ended early."""

    folder: Path
    """Run folder, as of ``RunStart``."""
    step: int
    """Steps of the run that were made."""
    best_model: Path | None
    """The file of the best model; ``None`` where no epoch was done."""
    reason: str
    """Why the run ended, in words."""
    error: BaseException | None
    """What ended the run early, such as ``KeyboardInterrupt`` or ``DivergedError``; ``None`` where it is finished."""
    pictures: Mapping[str, Image.Image] = field(default_factory=dict)
    """The report's pictures of validation images with the boxes that were found, by the names of the images' files."""


class Callback:
    """Follows the training of a detector; a subclass overrides the methods that it needs.

    The methods are called in the order below, in the process and thread that train, between two steps. The losses were
    read from the device already, so a callback makes no GPU wait. In alternating training each of the four steps is a
    run of its own.

    An exception in a method ends the run; it is raised unchanged, with a note that names the callback. All steps that
    were made are saved before, so that ``resume=True`` goes on after them. In ``on_run_end`` of a run that has failed
    already, it is logged as a warning instead.

    >>> from faster_rcnn import Callback, Detector
    >>> class Losses(Callback):
    ...     def __init__(self):
    ...         self.values = []
    ...
    ...     def on_step_end(self, event):
    ...         self.values.append(event.loss)
    ...
    ...     def on_epoch_end(self, event):
    ...         print(f"epoch {event.epoch}: AP {event.row['AP']}, best model in {event.best_model}")
    >>> losses = Losses()
    >>> detector = Detector.train("cells", epochs=20, callbacks=[losses])  # doctest: +SKIP
    """

    def on_run_start(self, event: RunStart) -> None:
        """Called once, before the first step."""

    def on_epoch_start(self, event: EpochStart) -> None:
        """Called before the first step of each epoch, and when an interrupted epoch goes on."""

    def on_step_end(self, event: StepEnd) -> None:
        """Called after each step."""

    def on_validation_start(self, event: ValidationStart) -> None:
        """Called after the last step of each epoch where there is a validation split."""

    def on_validation_step(self, event: ValidationStep) -> None:
        """Called after each image of the validation split."""

    def on_validation_end(self, event: ValidationEnd) -> None:
        """Called after the last image of the validation split."""

    def on_epoch_end(self, event: EpochEnd) -> None:
        """Called after the files of each epoch are written."""

    def on_run_end(self, event: RunEnd) -> None:
        """Called once at the end, also of a run that was interrupted or failed after ``on_run_start``."""


Event = RunStart | EpochStart | StepEnd | ValidationStart | ValidationStep | ValidationEnd | EpochEnd | RunEnd

_METHODS: Mapping[type[Event], str] = {
    RunStart: "on_run_start",
    EpochStart: "on_epoch_start",
    StepEnd: "on_step_end",
    ValidationStart: "on_validation_start",
    ValidationStep: "on_validation_step",
    ValidationEnd: "on_validation_end",
    EpochEnd: "on_epoch_end",
    RunEnd: "on_run_end",
}


def notify(callbacks: Sequence[Callback], event: Event) -> None:
    """Call the method of each callback that belongs to the event; an exception gets a note that names both."""
    name = _METHODS[type(event)]
    for callback in callbacks:
        try:
            getattr(callback, name)(event)
        except Exception as error:
            error.add_note(f"raised by {name} of the callback {type(callback).__name__}")
            raise


def notify_of_end(callbacks: Sequence[Callback], event: RunEnd) -> None:
    """Call ``on_run_end`` of every callback, also after one of them failed, so that each can release what it holds.

    The first exception is raised at the end, or logged as a warning where the run has an error of its own.
    """
    failures: list[Exception] = []
    for callback in callbacks:
        try:
            notify([callback], event)
        except Exception as error:  # noqa: BLE001  # whatever a user's code raises
            failures.append(error)
            if event.error is not None:
                note = error.__notes__[-1]
                _LOG.warning(f"{type(error).__name__}: {error}, {note}; the run had failed before")
    if failures and event.error is None:
        raise failures[0]
