"""Content of ``state.pt``: all that a bit-equal resumed run needs, and the identity of the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from pydantic import ConfigDict, NonNegativeFloat, NonNegativeInt, TypeAdapter, ValidationError
from torch import Tensor, nn

from faster_rcnn.data.fingerprint import Fingerprint
from faster_rcnn.parsing.values import as_number
from faster_rcnn.settings.schema import Config

MAX_IMAGES = 2**53
"""Upper bound of the images that were trained on: up to here float64 represents every integer."""


@dataclass(slots=True)
class Progress:
    """Progress of a run: all that changes besides weights and optimizer, in plain values."""

    __pydantic_config__ = ConfigDict(allow_inf_nan=False)

    epoch: NonNegativeInt = 0
    steps_of_epoch: NonNegativeInt = 0
    """Steps of the current epoch that were made."""
    step: NonNegativeInt = 0
    """Steps of the run that were made."""
    best_value: float = -1.0
    """Value of the criterion in the best epoch."""
    best_epoch: int = -1
    sums: dict[str, float] = field(default_factory=dict)
    """Sums of the losses of this epoch, by their names."""
    first_losses: list[float] = field(default_factory=list)
    """Sums of the losses of the first steps of the run."""
    training_seconds: NonNegativeFloat = 0.0
    validation_seconds: NonNegativeFloat = 0.0
    images: NonNegativeInt = 0
    """Images that were trained on, counted once per epoch."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """The rows of ``metrics.csv``."""
    changes: list[str] = field(default_factory=list)
    """Lines that name the steps at which the run was resumed in another precision or with other threads."""

    def to_plain(self) -> dict[str, Any]:
        """The progress as a dict of plain values."""
        return {name: getattr(self, name) for name in Progress.__slots__}


class UnusableStateError(ValueError):
    """A state that no run can be resumed from; the message follows on the name of its file."""


def run_identity(config: Config, data: Fingerprint | None) -> dict[str, Any]:
    """Settings, and data where known, by which a state is compared with the run in whose folder it lies."""
    return {"config": config.model_dump(mode="json"), "data": None if data is None else data.digest()}


MAY_CHANGE = ("epochs", "precision", "threads", "processes", "micro_batch")
"""Settings of training that may change when a run is resumed."""


def checked_state(content: object) -> dict[str, Any]:
    """Check the kinds of all parts of a state file; ``progress`` becomes a ``Progress``.

    Raises:
        UnusableStateError: a part is missing or of another kind.
    """
    if not isinstance(content, dict) or not {"model", "average", "optimizer", "random", "progress"} <= content.keys():
        raise UnusableStateError("is no state of a training run")
    for name in ("model", "average"):
        if not _holds_tensors(content[name]) and not (name == "average" and content[name] is None):
            raise UnusableStateError(f"is damaged: its '{name}' is anything but tensors")
    found = content["progress"]
    if not isinstance(found, dict) or not {"epoch", "steps_of_epoch", "step", "best_epoch", "rows"} <= found.keys():
        raise UnusableStateError("is damaged: its 'progress' is incomplete")
    try:
        progress = TypeAdapter(Progress).validate_python(found)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in ("progress", *first["loc"]))
        raise UnusableStateError(f"is damaged: {place}: {first['msg']}") from error
    if not _is_consistent(progress):
        raise UnusableStateError("is damaged: its 'progress' contradicts itself")
    return {**content, "progress": progress}


def _is_consistent(progress: Progress) -> bool:
    """Whether each epoch that is done has a row, one row is the best, and each epoch had an image."""
    return (
        len(progress.rows) == progress.epoch
        and progress.epoch <= progress.images < MAX_IMAGES
        and (progress.best_epoch in range(progress.epoch) if progress.epoch else progress.best_epoch == -1)
        and all(_is_line(row) for row in progress.rows)
    )


def _is_line(row: Mapping[str, object]) -> bool:
    """Whether a row of ``metrics.csv`` is possible: finite numbers, or ``None`` where nothing was measured."""
    return {"epoch", "step", "lr"} <= row.keys() and all(
        each is None or (isinstance(each, int | float) and as_number(each) is not None) for each in row.values()
    )


def _holds_tensors(content: object) -> bool:
    return isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(each, Tensor) for name, each in content.items()
    )


def refuse_state_of_another_run(found: object, own: Mapping[str, Any]) -> None:
    """Compare the ``run_identity`` in a state with that of the run; a part that one of them lacks is not compared.

    Raises:
        UnusableStateError: the identities differ.
    """
    if not isinstance(found, dict) or not isinstance(found.get("config"), dict):
        return  # an earlier version wrote no identity
    there, here = _settings(found["config"]), _settings(own.get("config", {}))
    differing = [
        f"{key} {there[key]} there and {value} here" for key, value in here.items() if there.get(key, value) != value
    ]
    if differing:
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise UnusableStateError(f"is of a run with other settings: {', '.join(differing[:3])}{more}")
    if None not in (found.get("data"), own.get("data")) and found["data"] != own["data"]:
        raise UnusableStateError("is of a run on other data")


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the settings that must not change, by ``section.key``."""
    return {
        f"{section}.{key}": value
        for section, values in config.items()
        if isinstance(values, dict)
        for key, value in values.items()
        if section != "training" or key not in MAY_CHANGE
    }


def load_tensors(what: str, model: nn.Module, found: Mapping[str, Tensor] | None) -> None:
    """Load weights and buffers; raises ``UnusableStateError`` for other names, shapes or types than the model has."""
    if found is None:
        raise UnusableStateError(f"does not fit the run: it lacks the {what}")
    own = model.state_dict()
    for name, wanted in own.items():
        if name not in found:
            raise UnusableStateError(f"does not fit the run: its {what} lacks '{name}'")
        each = found[name]
        if (each.shape, each.dtype) != (wanted.shape, wanted.dtype):
            raise UnusableStateError(
                f"does not fit the run: '{name}' of its {what} is {tuple(each.shape)} in {each.dtype}, not "
                f"{tuple(wanted.shape)} in {wanted.dtype}"
            )
        if not bool(each.isfinite().all()):
            raise UnusableStateError(f"is damaged: '{name}' of its {what} is not finite (NaN or infinite)")
    if more := sorted(found.keys() - own.keys()):
        raise UnusableStateError(f"does not fit the run: its {what} has '{more[0]}', which the run has not")
    model.load_state_dict(found)


def refuse_other_progress(progress: Progress, steps_of_epoch: int, epochs: int) -> None:
    """Raise ``UnusableStateError`` where the progress exceeds the epochs and steps of the run."""
    done = progress.epoch * steps_of_epoch + progress.steps_of_epoch  # or fewer, where whole batches cannot be read
    if progress.epoch > epochs or progress.steps_of_epoch > steps_of_epoch or progress.step > done:
        raise UnusableStateError(
            f"does not fit the run, which has {epochs} epochs of {steps_of_epoch} steps: step {progress.step}, "
            f"{progress.steps_of_epoch} of epoch {progress.epoch + 1}"
        )


def load_random(found: object) -> None:
    """Restore the state of torch's random numbers; raises ``UnusableStateError`` for anything else."""
    try:
        torch.set_rng_state(found)  # type: ignore[arg-type]
    except (RuntimeError, TypeError, AttributeError) as error:
        raise UnusableStateError("is damaged: its 'random' is no state of torch's random numbers") from error
