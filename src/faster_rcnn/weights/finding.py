"""The model file behind a path that is a file or a run folder."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path

from faster_rcnn.errors import ModelFileError

MODELS_OF_RUN = ("best.safetensors", "last.safetensors")
"""Model files of a run folder, in the order in which they are preferred."""

MAX_NAMED_RUNS = 5
"""How many run folders a message names."""


def find_model_file(text: str) -> Path:
    """Return ``text`` itself where it is a file, and for a run folder its best model, else its last.

    Raises:
        ModelFileError: there is no such file or folder, or the folder has no model (E123).
    """
    path = Path(text)
    if os.path.exists(path) and not path.is_dir():
        return path  # the reader has a message for a pipe or a device
    if not os.path.exists(path):
        raise ModelFileError(f"there is no model file or run folder '{text}'{_nearby(path)}", code="E123")
    for name in MODELS_OF_RUN:
        if (path / name).is_file():
            return path / name
    raise ModelFileError(
        f"{path} holds neither {' nor '.join(MODELS_OF_RUN)}, so it is not a run folder with a model{_runs_in(path)}",
        code="E123",
    )


def _runs_in(folder: Path) -> str:
    """A hint for a folder of run folders: their names, newest first."""
    models = [each for name in MODELS_OF_RUN for each in folder.glob(f"*/{name}")]
    runs = dict.fromkeys(each.parent for each in sorted(models, key=lambda each: -each.stat().st_mtime))
    shown = ", ".join(str(run) for run in list(runs)[:MAX_NAMED_RUNS])
    more = f" and {len(runs) - MAX_NAMED_RUNS} more" if len(runs) > MAX_NAMED_RUNS else ""
    return f"; the runs in it are {shown}{more}" if runs else ""


def _nearby(path: Path) -> str:
    """A hint that names a file or folder with a similar name, or says that the parent folder is missing."""
    if not os.path.exists(path.parent):
        return f" (the folder {path.parent} does not exist either)"
    close = get_close_matches(path.name, [each.name for each in path.parent.iterdir()], n=1)
    return f"; did you mean '{path.parent / close[0]}'?" if close else ""
