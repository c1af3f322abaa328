"""The summary of a finished run, ``summary.json``: how it was trained, on what, and what came of it."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import torch

from faster_rcnn._version import __version__
from faster_rcnn.system.devices import precision_name
from faster_rcnn.training.running import Run


def summary_of(run: Run, data: Path, reason: str, seconds: float) -> dict[str, Any]:
    """The summary of a run that ended for a ``reason``; ``seconds`` are those of this process, in all."""
    progress = run.progress
    return {
        "data": str(data),
        "preset": run.config.preset,
        "classes": list(run.classes.names),
        "ended": reason,
        "epochs": progress.epoch,
        "steps": progress.step,
        "images": progress.images,
        "best": progress.rows[progress.best_epoch],
        "last": progress.rows[-1],
        "training_seconds": round(progress.training_seconds, 3),
        "training_seconds_per_image": round(progress.training_seconds / progress.images, 4),
        "validation_seconds": round(progress.validation_seconds, 3),
        "total_seconds": round(seconds, 3),
        "device": str(next(run.model.parameters()).device),
        "precision": precision_name(run.precision),
        "threads": run.config.training.threads,
        "changes": progress.changes,
        "versions": {"faster_rcnn": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }
