"""The files of a run: best and last model, state, settings, record of the data, a line per epoch, summary.

Every file is written to a temporary name and renamed, so that an interruption never leaves half a file.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml

from faster_rcnn.data.fingerprint import Fingerprint
from faster_rcnn.errors import DatasetError, ModelFileError, OptionError
from faster_rcnn.parsing.json_values import parsed
from faster_rcnn.settings.schema import Config
from faster_rcnn.system.atomic import atomic_write
from faster_rcnn.system.files import read_bytes
from faster_rcnn.system.locking import is_held, only_writer, remove_empty
from faster_rcnn.system.numbering import first_free
from faster_rcnn.training.state import UnusableStateError, checked_state
from faster_rcnn.weights.torch_file import read_torch_file

BEST = "best.safetensors"
LAST = "last.safetensors"
STATE = "state.pt"
CONFIG = "config.yaml"
METRICS = "metrics.csv"
SUMMARY = "summary.json"
DATA = "data.json"
TRANSFORM = "transform.json"
DIVERGED = "diverged.safetensors"
FILES = frozenset({BEST, LAST, STATE, CONFIG, METRICS, SUMMARY, DATA, TRANSFORM})
"""Files that a run needs; its report can be written again."""


def new_run_folder(out: Path | None, data: Path) -> Path:
    """The folder of a new run: ``out``, or the first free ``runs/NAME`` after the data's name; it is not created yet.

    Raises:
        OptionError: ``out`` is a file (E137), or holds a run already (E132); nothing is overwritten.
    """
    if out is None:
        out = first_free(Path("runs") / run_name(data), lambda folder: holds_run(folder) or is_held(folder))
    if out.exists() and not out.is_dir():
        raise OptionError(f"--out {out} is a file; name a folder", code="E137")
    _refuse_run(out)
    return out


def _refuse_run(folder: Path) -> None:
    if not holds_run(folder):
        return
    how = "holds the beginning of a run that was killed before its first state was saved"
    if is_finished(folder):
        how = "holds a run already, which is finished"
    elif holds_begun_run(folder):
        how = "holds a run already, which can go on with --resume"
    raise OptionError(f"{folder} {how}; choose another folder with --out, or delete this one", code="E132")


@contextmanager
def kept_if_used(folder: Path) -> Iterator[None]:
    """Create and lock the folder of a new run, and remove it where the run ends before its first state or model.

    Raises:
        MachineError: the folder cannot be made, or nothing can be written in it.
        OptionError: another process writes to the folder, or has finished a run in it meanwhile (E132).
    """
    with only_writer(folder):
        _refuse_run(folder)  # under the lock, so that no other process begins one
        starts = [
            each for name in (CONFIG, DATA, TRANSFORM, f"step-1/{CONFIG}") if not (each := folder / name).exists()
        ]
        try:
            yield
        except BaseException:
            _remove_unused(folder, starts)
            raise


def _remove_unused(folder: Path, starts: Iterable[Path]) -> None:
    if holds_run(folder):
        return
    for start in starts:
        start.unlink(missing_ok=True)
    remove_empty([folder / "step-1"])


def run_name(data: Path) -> str:
    """Name below runs/ of a run on ``data``."""
    return data.resolve().stem


def runs_named(name: str) -> list[Path]:
    """The run folders ``runs/NAME``, ``runs/NAME-2``, ... that can be resumed, the newest first."""
    mine = re.compile(rf"{re.escape(name)}(-[0-9]+)?")
    return [each for each in all_runs() if mine.fullmatch(each.name)]


def all_runs() -> list[Path]:
    """The folders below runs/ that hold a run with its state, the newest one first."""
    found = {each for depth in ("*", "*/step-*") for each in Path("runs").glob(f"{depth}/{STATE}")}
    newest: dict[Path, float] = {}
    for state in found:
        folder = state.parent.parent if state.parent.name.startswith("step-") else state.parent
        newest[folder] = max(newest.get(folder, 0.0), state.stat().st_mtime)
    return sorted(newest, key=lambda each: -newest[each])


def holds_begun_run(folder: Path) -> bool:
    """Whether there is a state to resume from; alternating training has one in each of its steps."""
    return (folder / CONFIG).exists() and any((each / STATE).exists() for each in _parts(folder))


def is_finished(folder: Path) -> bool:
    """Whether the run in ``folder`` is finished."""
    return (folder / SUMMARY).exists()


def remove_beginning(folder: Path) -> None:
    """Remove the files of a run that ended before its first state, so that it can begin again in its folder."""
    for name in FILES - {STATE}:
        (folder / name).unlink(missing_ok=True)


def reopen(folder: Path) -> None:
    """Mark a finished run as unfinished, so that it can be resumed."""
    (folder / SUMMARY).unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file at once."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_config(folder: Path, config: Config) -> None:
    """Write all settings, in the form that ``--config`` reads."""
    write_text(folder / CONFIG, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))


def write_data(folder: Path, data: Path, fingerprint: Fingerprint) -> None:
    """Write the record of the data that the run is trained on; ``data`` is their name for people."""
    write_text(folder / DATA, json.dumps({"data": str(data), **fingerprint.to_json()}) + "\n")


def read_data(folder: Path) -> Fingerprint | None:
    """The record that ``write_data`` wrote; ``None`` in a run of a version that wrote none."""
    path = folder / DATA
    if not path.exists():
        return None
    try:
        return Fingerprint.from_json(json_in(path))
    except ValueError as error:
        raise ModelFileError(
            f"{path} cannot be read ({error}), so what this run was trained on is not known; start a new one from its "
            f"weights with --weights {folder / LAST}",
            code="E123",
        ) from error


def json_in(path: Path) -> Any:
    """The value in a JSON file; raises ``ValueError`` for anything else."""
    try:
        return parsed("it", read_bytes(path).decode())
    except OSError as error:
        raise ValueError(error.strerror) from error
    except DatasetError as error:
        raise ValueError(error.text) from error


def write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write the summary; its presence marks the run as finished."""
    write_text(folder / SUMMARY, json.dumps(summary, indent=2) + "\n")


def write_metrics(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Write one line per epoch, with the columns of all rows; values that do not exist are left empty."""
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / METRICS, text.getvalue())


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write the state that ``--resume`` needs: tensors and plain values."""
    with atomic_write(folder / STATE) as temporary:
        torch.save(dict(state), temporary)


def read_state(folder: Path) -> dict[str, Any] | None:
    """The state that ``write_state`` wrote, its progress as ``Progress``; ``None`` where there is no file.

    No code in the file is ever executed.

    Raises:
        ModelFileError: it is damaged, or no state of a training run.
    """
    path = folder / STATE
    if not os.path.lexists(path):
        return None
    with naming_state_file(folder):
        try:
            return checked_state(read_torch_file(path))
        except ModelFileError as error:
            reason = error.text.removeprefix(f"{path} ")
            raise UnusableStateError(reason.partition(". Save")[0]) from error  # the rest is a remedy for weights


@contextmanager
def naming_state_file(folder: Path) -> Iterator[None]:
    """Turn an ``UnusableStateError`` into a ``ModelFileError`` that names the file."""
    try:
        yield
    except UnusableStateError as error:
        raise ModelFileError(
            f"{folder / STATE} {error}. This run cannot go on; begin a new one from its weights with --weights "
            f"{folder / LAST} and another --out",
            code="E123",
        ) from error


def holds_run(folder: Path) -> bool:
    """Whether a run, or a step of alternating training, left a model, a state or its numbers in ``folder``."""
    return any((each / name).exists() for each in _parts(folder) for name in (BEST, LAST, STATE, SUMMARY, METRICS))


def _parts(folder: Path) -> list[Path]:
    """The folders that may hold models and states of a run: its own, and those of the steps of alternating training."""
    return [folder, *sorted(folder.glob("step-*"))]
