"""The files of a run: best and last model, what is needed to go on, settings, one line per epoch, a summary.

Every file is written to a temporary name and renamed, so that an interruption never leaves half a file.
"""

from __future__ import annotations

import csv
import io
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from faster_rcnn.atomic import atomic_write
from faster_rcnn.config import Config
from faster_rcnn.errors import ModelFileError, OptionError

BEST = "best.safetensors"
LAST = "last.safetensors"
STATE = "state.pt"
CONFIG = "config.yaml"
METRICS = "metrics.csv"
SUMMARY = "summary.json"


def new_run_folder(out: Path | None, data: Path) -> Path:
    """The folder that a new run writes to: ``out``, or the first free ``runs/NAME`` after the data's name.

    Raises:
        OptionError: ``out`` holds a run already; nothing is overwritten.
    """
    if out is None:
        name = data.resolve().stem
        out = Path("runs") / name
        number = 2
        while _holds_run(out):
            out = Path("runs") / f"{name}-{number}"
            number += 1
    if _holds_run(out):
        how = "is finished" if (out / SUMMARY).exists() else "can go on with --resume"
        raise OptionError(f"{out} holds a run already, which {how}; choose another folder with --out", code="E132")
    out.mkdir(parents=True, exist_ok=True)
    return out


def folder_to_resume(out: Path | None, data: Path) -> Path:
    """The folder that ``--resume`` goes on in: ``out``, or the newest unfinished ``runs/NAME*``; may hold nothing yet.

    Raises:
        OptionError: the run is finished.
    """
    name = data.resolve().stem
    unfinished = [each.parent for each in Path("runs").glob(f"{name}*/{STATE}") if not (each.parent / SUMMARY).exists()]
    if out is None:
        out = max(unfinished, key=lambda each: (each / STATE).stat().st_mtime, default=Path("runs") / name)
    if (out / SUMMARY).exists():
        raise OptionError(f"the run in {out} is finished; for a new one choose another folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    return out


def write_text(path: Path, text: str) -> None:
    """Write a whole text file at once."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_config(folder: Path, config: Config) -> None:
    """All settings, readable by ``--config``."""
    write_text(folder / CONFIG, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))


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


def _holds_run(folder: Path) -> bool:
    return any((folder / name).exists() for name in (BEST, LAST, STATE, SUMMARY, METRICS))
