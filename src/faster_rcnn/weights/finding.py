"""The model file that a user means by a file or by a run folder."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path

from faster_rcnn.errors import ModelFileError

MODELS_OF_RUN = ("best.safetensors", "last.safetensors")
"""What a run folder is searched for, in this order."""

MOST_RUNS = 5
"""Named in a message."""


def find_model_file(text: str) -> Path:
    """The model file that a user means by a file or by a run folder (its best model, else its last)."""
    path = Path(text)
    if os.path.exists(path) and not path.is_dir():
        return path  # for a pipe or a device, its reader has the message
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
    """Run folders that a folder holds, newest first, for a user who named the folder of all."""
    models = [each for name in MODELS_OF_RUN for each in folder.glob(f"*/{name}")]
    runs = dict.fromkeys(each.parent for each in sorted(models, key=lambda each: -each.stat().st_mtime))
    shown = ", ".join(str(run) for run in list(runs)[:MOST_RUNS])
    more = f" and {len(runs) - MOST_RUNS} more" if len(runs) > MOST_RUNS else ""
    return f"; the runs in it are {shown}{more}" if runs else ""


def _nearby(path: Path) -> str:
    """A hint at a file or folder of a similar name."""
    if not os.path.exists(path.parent):
        return f" (the folder {path.parent} does not exist either)"
    close = get_close_matches(path.name, [each.name for each in path.parent.iterdir()], n=1)
    return f"; did you mean '{path.parent / close[0]}'?" if close else ""
