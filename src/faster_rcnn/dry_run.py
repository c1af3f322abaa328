"""``train --dry-run``: two steps of a run with everything that follows them, in a temporary folder.

A night of training should not end at its first validation, at the writing of its model or at the export of its result.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from faster_rcnn.data.batches import epoch_batches
from faster_rcnn.data.fingerprint import fingerprint_of
from faster_rcnn.data.records import Dataset, Split, evenly_spread
from faster_rcnn.errors import DivergedError, MissingExtraError, OptionError
from faster_rcnn.export.files import require_packages
from faster_rcnn.export.request import ENDING_OF, facts_of, refuse_unexportable
from faster_rcnn.export.run import export_verified
from faster_rcnn.settings.schema import Config
from faster_rcnn.settings.train_options import TrainOptions
from faster_rcnn.system.atomic import refuse_unwritable
from faster_rcnn.system.launched import is_launched
from faster_rcnn.system.logs import logged_from
from faster_rcnn.system.wording import count_of
from faster_rcnn.training import run_folder
from faster_rcnn.training.callback import (
    Callback,
    EpochEnd,
    RunEnd,
    RunStart,
    StepEnd,
    ValidationEnd,
    ValidationStart,
)
from faster_rcnn.training.machine_settings import with_training
from faster_rcnn.training.new_run import Beginning, beginning_of, steps_of
from faster_rcnn.training.run import train_in_folder
from faster_rcnn.training.session import Task
from faster_rcnn.training.transform_record import write_transform
from faster_rcnn.weights.model_file import LoadedModel, load_model

STEPS = 2
FORMATS = ("onnx", "pt2")
"""Formats of the export, the first one whose packages are installed is tried."""
ONE_PROCESS = "--dry-run computes in one process; leave out --processes, and start it without torchrun"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a run that was tried."""

    name: str
    what: str
    seconds: float


@dataclass(frozen=True, slots=True)
class DryRun:
    """What was tried, in the order of a run."""

    parts: tuple[Part, ...]

    @property
    def table(self) -> str:
        """The parts with their seconds, a line each."""
        rows = [("part", "tried", "seconds"), *((each.name, each.what, f"{each.seconds:.2f}") for each in self.parts)]
        rows.append(("all", "", f"{sum(each.seconds for each in self.parts):.2f}"))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        return "\n".join(f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows)


def dry_run(data: Path, options: TrainOptions) -> DryRun:
    """Try a new run with these options: two steps, validation, all files, and an export; nothing of it is kept.

    The images are those of the first two steps, and as many of the validation split. The services of ``--log`` get
    nothing; whether their packages are installed is checked.

    Raises:
        OptionError: an option makes no sense, or is that of a run that goes on or of several processes.
        FasterRCNNError: a part failed, as it would in the run.
    """
    if options.resume:
        raise OptionError("--dry-run tries a new run; leave out --resume", code="E125")
    if is_launched():
        raise OptionError(ONE_PROCESS, code="E125")
    clock = _Clock()
    folder = run_folder.new_run_folder(None if options.out is None else Path(options.out), data)
    refuse_unwritable(folder / run_folder.CONFIG)
    begins = beginning_of(data, options)
    if begins.processes > 1:
        raise OptionError(ONE_PROCESS, code="E125")
    dataset = _of_two_steps(begins.dataset, begins.config)
    clock.done("data and settings", _counted(begins.dataset))
    with TemporaryDirectory(prefix="faster-rcnn-dry-run-") as temporary:
        trained = _trained(data, replace(begins, dataset=dataset), Path(temporary) / "run", folder, clock)
        best = load_model(trained / run_folder.BEST)
        clock.done("reading", run_folder.BEST)
        clock.done("export", _exported(best, Path(temporary)))
    return DryRun(tuple(clock.parts))


class _Clock(Callback):
    """Measures the parts of a run by its events; a part that comes again, as in alternating training, is added."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self._parts: dict[str, Part] = {}
        self._images = 0

    @property
    def parts(self) -> Sequence[Part]:
        return list(self._parts.values())

    def done(self, name: str, what: str) -> None:
        """Note that a part is done, which began where the last one ended."""
        now = time.perf_counter()
        before = self._parts[name].seconds if name in self._parts else 0.0
        self._parts[name] = Part(name, what, before + now - self._last)
        self._last = now

    def on_run_start(self, event: RunStart) -> None:
        self.done("detector", f"{event.config.preset} with its initial weights")

    def on_step_end(self, event: StepEnd) -> None:
        self.done(f"step {event.step}", f"{count_of(event.images, 'image')}, loss {event.loss:.3g}")

    def on_validation_start(self, event: ValidationStart) -> None:
        self._images = event.images

    def on_validation_end(self, event: ValidationEnd) -> None:
        self.done("validation", count_of(self._images, "image"))

    def on_epoch_end(self, event: EpochEnd) -> None:
        self.done("saving", f"{run_folder.BEST}, {run_folder.LAST}, {run_folder.STATE}, {run_folder.METRICS}")

    def on_run_end(self, event: RunEnd) -> None:
        self.done("report", f"report.html with {count_of(len(event.pictures), 'picture')}")


def _trained(data: Path, begins: Beginning, temporary: Path, folder: Path, clock: _Clock) -> Path:
    """Train two steps in a temporary folder, in the place of the run's own folder."""
    temporary.mkdir()
    run_folder.write_data(temporary, data, fingerprint_of(begins.dataset))
    write_transform(temporary, begins.transform)
    config = with_training(begins.config, epochs=1 if steps_of(begins.config, begins.dataset) >= STEPS else STEPS)
    task = Task(
        data,
        begins.dataset,
        config,
        temporary,
        temporary,
        begins.start,
        callbacks=(clock,),
        transform=begins.transform,
    )
    try:
        with logged_from(logging.WARNING, "faster_rcnn"):  # other messages name the temporary folder
            return train_in_folder(task)
    except DivergedError as error:
        text = error.text.replace(str(temporary), str(folder))
        raise DivergedError(f"{text}. This was a dry run, which keeps no files", code=error.code) from error


def _of_two_steps(dataset: Dataset, config: Config) -> Dataset:
    """The images of the first two steps, and as many of the validation split."""
    training, split = config.training, dataset.splits["train"]
    batches = epoch_batches([record.size for record in split.records], training.images_per_step, training.seed, 0)
    chosen = [split.records[index] for batch in batches[:STEPS] for index in batch]
    splits: dict[str, Split] = {"train": replace(split, records=tuple(chosen))}
    if "val" in dataset.splits:
        val = dataset.splits["val"]
        splits["val"] = replace(val, records=tuple(evenly_spread(val.records, len(chosen))))
    return replace(dataset, splits=splits)


def _counted(dataset: Dataset) -> str:
    counts = (f"{len(split.records):,} images of {name}" for name, split in dataset.splits.items())
    return ", ".join(counts)


def _exported(best: LoadedModel, folder: Path) -> str:
    """Export the model and compare the file with it; returns what was tried, in words."""
    try:
        refuse_unexportable("the model", best.config)
        kind = next(each for each in FORMATS if _is_available(each))
        facts = facts_of(kind, "dynamic", "dynamic", "in-graph", "in-graph" if kind == "onnx" else "none")
        export_verified(best, facts, folder / f"model{ENDING_OF[kind]}")
    except OptionError as error:
        return f"not tried: {error}"
    return f"{kind}, compared with the detector"


def _is_available(kind: str) -> bool:
    try:
        require_packages(kind)
    except MissingExtraError:
        return False
    return True
