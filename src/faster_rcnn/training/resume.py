"""``--resume``: a run continues with the data and the settings that it began with, or for more epochs."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from faster_rcnn.data.fingerprint import differences, fingerprint_of
from faster_rcnn.data.objects import without_classes
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.data.records import Dataset
from faster_rcnn.errors import DatasetError, OptionError
from faster_rcnn.parsing.yaml_values import composed
from faster_rcnn.settings.resolve import all_keys, resolve_config, resolved
from faster_rcnn.settings.schema import Config
from faster_rcnn.settings.train_options import TrainOptions
from faster_rcnn.training import run_folder
from faster_rcnn.training.machine_settings import refuse_missing_precision, with_training
from faster_rcnn.weights.model_file import load_model

_LOG = logging.getLogger(__name__)

MAY_BE_AUTO = ("epochs", "precision", "threads")
MAY_DIFFER = (*MAY_BE_AUTO, "processes", "micro_batch")
"""Settings of training that may change when a run is resumed."""


def folder_to_resume(out: Path | None, data: Path) -> Path:
    """The run folder that ``--resume`` continues: ``out``, or one of ``runs/NAME``, ``runs/NAME-2`` with these data.

    Among several, the newest unfinished run is taken, else the newest finished one.

    Raises:
        OptionError: there is no such run, or a file that it needs is gone.
    """
    if out is not None:
        _refuse_no_run(out)
        return out
    name = run_folder.run_name(data)
    runs = sorted(run_folder.runs_named(name), key=run_folder.is_finished)  # a stable order
    found = next((each for each in runs if _is_of(each, data)), None)
    if found is None:
        others = f"; {', '.join(map(str, runs))}: begun with other data" if runs else ""
        raise OptionError(
            f"--resume: there is no run of {data} to go on with in runs/{name}{others}{_unfinished()}; leave out "
            "--resume to begin one, or name the run with --out"
        )
    return found


def _refuse_no_run(out: Path) -> None:
    if run_folder.holds_begun_run(out):
        return
    if run_folder.holds_run(out):
        gone = next(name for name in (run_folder.CONFIG, run_folder.STATE) if not (out / name).exists())
        raise OptionError(f"--resume: {out / gone} is gone, so this run cannot go on; {fresh_start(out)}")
    raise OptionError(f"--resume: {out} holds no run to go on with{_unfinished()}; leave out --resume to begin one")


def _unfinished() -> str:
    """The part of a message that names unfinished runs, which may be meant."""
    names = [str(each) for each in run_folder.all_runs() if not run_folder.is_finished(each)]
    return f" (unfinished runs: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''})" if names else ""


def _is_of(folder: Path, data: Path) -> bool:
    """Whether the run in ``folder`` was begun with ``data``, by the run's record of its data."""
    before = run_folder.read_data(folder)
    if before is None:
        return False
    config = stored_config(folder)
    try:
        dataset = load_dataset(data, config.data)
    except DatasetError:
        return False  # data that do not fit the settings of the run are not its data
    return not differences(before, fingerprint_of(_as_trained(dataset, config)))


def _as_trained(dataset: Dataset, config: Config) -> Dataset:
    return without_classes(dataset) if config.detector.kind == "rpn" else dataset


def refuse_other_data(folder: Path, data: Path, dataset: Dataset) -> None:
    """Raise ``OptionError`` (E124) where ``dataset`` differs from the data of the run in ``folder``."""
    if found := data_differences(folder, data, dataset):
        raise OptionError(
            f"the run in {folder} was begun with other data: {'; '.join(found)}. Give the data that it began with, or "
            f"{fresh_start(folder)} and another --out",
            code="E124",
        )


def data_differences(folder: Path, data: Path, dataset: Dataset) -> tuple[str, ...]:
    """Differences between ``dataset`` and the data of the run in ``folder``, in sentences.

    A run of a version that kept no record of its data is compared by its classes, and the record is made now.
    """
    now, before = fingerprint_of(dataset), run_folder.read_data(folder)
    if before is not None:
        return differences(before, now)
    known = _known_classes(folder)
    if known and known != dataset.classes.names:
        return (f"classes {_listed(known)} -> {_listed(dataset.classes.names)}",)
    _LOG.warning(
        f"{folder} has no {run_folder.DATA}, so only its classes were compared; its data are taken to be these"
    )
    run_folder.write_data(folder, data, now)
    return ()


def _known_classes(folder: Path) -> tuple[str | None, ...]:
    """Class names of the run in ``folder``; in alternating training, step 2 is the first with more than one class."""
    files = [each / run_folder.LAST for each in (folder, folder / "step-4", folder / "step-2")]
    return next((load_model(each).classes.names for each in files if each.exists()), ())


def _listed(names: Sequence[str | None]) -> str:
    return ", ".join(str(name) for name in names)


def stored_config(folder: Path) -> Config:
    """The settings of the run in ``folder``.

    Its file holds all settings of the version that began it; one that is newer has the value it had before it existed,
    which is the schema's, not the preset's.

    Raises:
        OptionError: the file does not fit, or holds no number of epochs, as the file of every run does.
    """
    path = folder / run_folder.CONFIG
    config = resolve_config(None, path, (), {}, start=Config())
    for name in ("epochs", "batch"):
        if getattr(config.training, name) == "auto":
            raise OptionError(f"{path} holds no number of training.{name}, as a run does; {fresh_start(folder)}")
    return config


def config_to_resume(folder: Path, options: TrainOptions) -> Config:
    """The settings of the run in ``folder``.

    Options may be repeated but not changed: with other settings it would be another run.

    Raises:
        OptionError: an option differs from the run's own.
    """
    stored, asked = _stored_and_asked(folder, options)
    _refuse_differences(folder, options.model, stored, _auto_as_stored(asked, stored))
    return stored


def config_to_go_on(folder: Path, options: TrainOptions) -> Config:
    """The settings of the run in ``folder``, some of which may change.

    The number of epochs may change unless the training alternates. What decides last bits alone may change: precision
    and threads, where this machine lacks those of the run, and how the images of a step are divided.

    Raises:
        OptionError: another option differs from the run's own.
        MachineError: this machine lacks the run's precision, and no other one is given.
    """
    stored, asked = _stored_and_asked(folder, options)
    refuse_missing_precision(folder, stored.training, asked.training)
    asked = _auto_as_stored(asked, stored)
    free = [name for name in MAY_DIFFER if name != "epochs" or stored.training.scheme != "alternating"]
    extended = with_training(stored, **{name: getattr(asked.training, name) for name in free})
    _refuse_differences(folder, options.model, extended, asked)
    return extended


def _stored_and_asked(folder: Path, options: TrainOptions) -> tuple[Config, Config]:
    stored = stored_config(folder)
    if absent := _absent_keys(folder / run_folder.CONFIG):
        values = ", ".join(f"{key}={_value(stored, key)}" for key in absent)
        _LOG.warning(
            f"{folder / run_folder.CONFIG} does not hold all settings, as in a run of another version: {values} assumed"
        )
    if options.weights is not None:
        raise OptionError(
            f"--resume goes on with the weights in {folder}; leave out --weights, or {fresh_start(folder)}"
        )
    start = with_training(stored, **dict.fromkeys(MAY_BE_AUTO, "auto"))
    return stored, resolved(replace(options, model=None), start)


def _auto_as_stored(asked: Config, stored: Config) -> Config:
    """Replace ``auto`` by the value that it had when the run began, which is stored."""
    chosen = {name: getattr(asked.training, name) for name in (*MAY_BE_AUTO, "batch")}
    kept = {name: getattr(stored.training, name) if value == "auto" else value for name, value in chosen.items()}
    return with_training(asked, **kept)


def _absent_keys(path: Path) -> list[str]:
    """The settings, as ``section.key``, that the file of a configuration does not hold."""
    root = composed(path.read_text(encoding="utf-8"))
    sections = root.value if isinstance(root, yaml.MappingNode) else []
    held = {
        f"{name.value}.{key.value}"
        for name, section in sections
        if isinstance(section, yaml.MappingNode)
        for key, _ in section.value
    }
    return [key for key in all_keys() if key not in held]


def _refuse_differences(folder: Path, model: str | None, stored: Config, asked: Config) -> None:
    differing = [
        f"{key} {_value(stored, key)} -> {_value(asked, key)}"
        for key in ["preset", *all_keys()]
        if _value(stored, key) != _value(asked, key)
    ]
    if model is not None and model != stored.preset:
        differing.append(f"--model {stored.preset} -> {model}")
    if differing:
        raise OptionError(
            f"cannot go on with the run in {folder} with other settings: {'; '.join(differing)}. Leave them out, or "
            f"{fresh_start(folder)}",
            code="E124",
        )


def refuse_no_more_epochs(folder: Path, data: Path, epochs: int, done: int) -> None:
    """Raise ``OptionError`` where a finished run has as many epochs, or any run has done more."""
    if run_folder.is_finished(folder) and epochs == stored_config(folder).training.epochs:
        if stored_config(folder).training.scheme == "alternating":
            raise OptionError(f"all four steps of the run in {folder} are finished; {fresh_start(folder)}")
        more = shlex.join(
            ["faster-rcnn", "train", str(data), "--out", str(folder), "--resume", "--epochs", str(2 * epochs)]
        )
        counted = "1 epoch" if done == 1 else f"{done} epochs"
        raise OptionError(f"the run in {folder} is finished after {counted}; train it longer with: {more}")
    if epochs < done or (epochs == done and run_folder.is_finished(folder)):
        raise OptionError(f"--epochs {epochs}: the run in {folder} has done {done} epochs; give more than {done}")


def refuse_lost_best(folder: Path, state: Mapping[str, Any]) -> None:
    """Raise ``OptionError`` where the model of the best epoch so far is gone, since the run could not return it."""
    best = folder / run_folder.BEST
    if state["progress"].rows and not best.exists():
        raise OptionError(f"--resume: {best} is gone, so this run cannot go on; {fresh_start(folder)}")


def fresh_start(folder: Path) -> str:
    """The part of a message that names how a new run begins where the old one ended."""
    left = [folder / name for name in (run_folder.LAST, run_folder.BEST) if (folder / name).exists()]
    return f"begin a new run with --weights {left[0]}" if left else "begin a new run with another --out"


def _value(config: Config, key: str) -> object:
    value: object = config
    for part in key.split("."):
        value = getattr(value, part)
    return value
