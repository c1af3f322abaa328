"""What ``--resume`` may and may not change: a run goes on with the settings that it began with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from faster_rcnn.config import Config
from faster_rcnn.errors import OptionError
from faster_rcnn.jobs.settings import all_keys, resolve_config
from faster_rcnn.training import run_folder


def config_to_resume(
    folder: Path,
    model: str | None,
    weights: str | None,
    config: Path | None,
    settings: Sequence[str],
    flags: Mapping[str, object],
) -> Config:
    """The settings of the run in ``folder``.

    Options may be repeated, but not changed: a run with other settings would not be the run that was interrupted.

    Raises:
        OptionError: an option differs from the run's own.
    """
    stored = resolve_config(None, folder / run_folder.CONFIG, (), {})
    fresh_start = f"begin a new run with --weights {folder / run_folder.LAST}"
    if weights is not None:
        raise OptionError(f"--resume goes on with the weights in {folder}; leave out --weights, or {fresh_start}")
    asked = resolve_config(None, config, settings, flags, stored)
    if asked.training.epochs == "auto":  # as it began, too; their number is stored
        same = asked.training.model_copy(update={"epochs": stored.training.epochs})
        asked = asked.model_copy(update={"training": same})
    differences = [
        f"{key} {_value(stored, key)} -> {_value(asked, key)}"
        for key in ["preset", *all_keys()]
        if _value(stored, key) != _value(asked, key)
    ]
    if model is not None and model != stored.preset:
        differences.append(f"--model {stored.preset} -> {model}")
    if differences:
        raise OptionError(
            f"cannot go on with the run in {folder} with other settings: {'; '.join(differences)}. Leave them out, or "
            f"{fresh_start}",
            code="E124",
        )
    return stored


def _value(config: Config, key: str) -> object:
    value: object = config
    for part in key.split("."):
        value = getattr(value, part)
    return value
