"""The files of a run: best and last model, what is needed to go on, settings, data, a line per epoch, a summary.

Every file is written to a temporary name and renamed, so that an interruption never leaves half a file.
"""

from __future__ import annotations

import csv
import io
import json
import pickle
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import torch
import yaml

from faster_rcnn.atomic import atomic_write
from faster_rcnn.config import Config
from faster_rcnn.data.fingerprint import Fingerprint
from faster_rcnn.errors import MachineError, ModelFileError, OptionError

BEST = "best.safetensors"
LAST = "last.safetensors"
STATE = "state.pt"
CONFIG = "config.yaml"
METRICS = "metrics.csv"
SUMMARY = "summary.json"
DATA = "data.json"
FILES = frozenset({BEST, LAST, STATE, CONFIG, METRICS, SUMMARY, DATA})
"""What a run is made of; its report can be written again."""


def new_run_folder(out: Path | None, data: Path) -> Path:
    """The folder for a new run: ``out``, or the first free ``runs/NAME`` after the data's name; nothing is made.

    Raises:
        OptionError: ``out`` is a file, or holds a run already; nothing is overwritten.
    """
    if out is None:
        name = run_name(data)
        out = Path("runs") / name
        number = 2
        while holds_run(out):
            out = Path("runs") / f"{name}-{number}"
            number += 1
    if out.exists() and not out.is_dir():
        raise OptionError(f"--out {out} is a file; name a folder")
    if holds_run(out):
        how = "is finished" if is_finished(out) else "can go on with --resume"
        raise OptionError(
            f"{out} holds a run already, which {how}; choose another folder with --out, or delete this one", code="E132"
        )
    return out


@contextmanager
def kept_if_used(folder: Path) -> Iterator[None]:
    """The folder of a new run; where the run ends before its first state or model, nothing that was made stays.

    Raises:
        MachineError: the folder cannot be made, or nothing can be written in it.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    starts = [each for name in (CONFIG, DATA, f"step-1/{CONFIG}") if not (each := folder / name).exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        _remove_empty(made)
        raise MachineError(
            f"--out {folder}: no run can be written there: {error.strerror}; name another folder"
        ) from error
    try:
        yield
    except BaseException:
        if not any(holds_run(each) for each in (folder, *folder.glob("step-*"))):
            for start in starts:
                start.unlink(missing_ok=True)
            _remove_empty([folder / "step-1", *made])
        raise


def _remove_empty(folders: Iterable[Path]) -> None:
    for each in folders:
        with suppress(OSError):  # not empty, or not there
            each.rmdir()


def run_name(data: Path) -> str:
    """Name of a run on ``data``, below runs/."""
    return data.resolve().stem


def runs_named(name: str) -> list[Path]:
    """The run folders ``runs/NAME``, ``runs/NAME-2``, ... that can be gone on with, the newest one first."""
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
    """Whether there is a state to go on with; alternating training has one in each of its steps."""
    return (folder / CONFIG).exists() and any((each / STATE).exists() for each in (folder, *folder.glob("step-*")))


def is_finished(folder: Path) -> bool:
    """Whether the run in ``folder`` came to its end."""
    return (folder / SUMMARY).exists()


def reopen(folder: Path) -> None:
    """Let a finished run be an unfinished one, which is to go on."""
    (folder / SUMMARY).unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file at once."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_config(folder: Path, config: Config) -> None:
    """All settings, readable by ``--config``."""
    write_text(folder / CONFIG, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))


def write_data(folder: Path, data: Path, fingerprint: Fingerprint) -> None:
    """What the run is trained on; ``data`` is its name for people."""
    write_text(folder / DATA, json.dumps({"data": str(data), **fingerprint.to_json()}) + "\n")


def read_data(folder: Path) -> Fingerprint | None:
    """What ``write_data`` wrote; ``None`` in a run of a version that did not write it."""
    path = folder / DATA
    if not path.exists():
        return None
    try:
        return Fingerprint.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ModelFileError(
            f"{path} cannot be read ({error}), so what this run was trained on is not known; start a new one from its "
            f"weights with --weights {folder / LAST}"
        ) from error


def write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """What the run came to; its presence marks the run as finished."""
    write_text(folder / SUMMARY, json.dumps(summary, indent=2) + "\n")


def write_metrics(folder: Path, rows: list[dict[str, Any]]) -> None:
    """One line per epoch; values that do not exist (no validation split) are left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / METRICS, text.getvalue())


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Everything that ``--resume`` needs: tensors and plain values."""
    with atomic_write(folder / STATE) as temporary:
        torch.save(dict(state), temporary)


def read_state(folder: Path) -> dict[str, Any] | None:
    """What ``write_state`` wrote, or ``None`` where there is nothing; no code in it is ever run."""
    path = folder / STATE
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ModelFileError(
            f"{path} cannot be read ({error}), so this run cannot go on; start a new one from its weights with "
            f"--weights {folder / LAST}"
        ) from error
    return state


def holds_run(folder: Path) -> bool:
    """Whether a run left a model, a state or its numbers in ``folder``."""
    return any((folder / name).exists() for name in (BEST, LAST, STATE, SUMMARY, METRICS))
