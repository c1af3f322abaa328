"""``faster-rcnn import``: a model file from a checkpoint that torchvision's detectors wrote."""

from __future__ import annotations

from pathlib import Path

import torch

from faster_rcnn.errors import FasterRCNNError, VerificationError
from faster_rcnn.jobs.console import say
from faster_rcnn.weights.classes import read_classes
from faster_rcnn.weights.model_file import LoadedModel, load_model, save_model, stored_tensors
from faster_rcnn.weights.state_dict import read_state_dict
from faster_rcnn.weights.torchvision_layout import count_of_classes, layout_named, model_from_torchvision


def run(file: Path, *, layout: str, classes: str | None, out: Path) -> int:
    """Convert, write, read back and compare; returns the exit code."""
    preset = layout_named(layout).preset
    foreign = read_state_dict(file)
    names = read_classes(classes, count_of_classes(file, foreign))
    imported = model_from_torchvision(file, foreign, layout, names)
    save_model(out, imported.model, imported.config, imported.classes)
    verify(out, imported)
    known = len(names) - len(names.holes)
    unused = f" ({len(names.holes)} more outputs have no class and are never reported)" if names.holes else ""
    say(f"imported {file} as {layout} (preset {preset}): {known} classes{unused}")
    say(f"wrote {out}, read it back and found it equal")
    return 0


def verify(path: Path, expected: LoadedModel) -> None:
    """Raise ``VerificationError`` unless the model file holds exactly this detector."""
    try:
        found = load_model(path)
    except FasterRCNNError as error:
        raise VerificationError(f"{path} was written and cannot be read back: {error}") from error
    wanted = stored_tensors(expected.model)
    differing = [name for name, each in stored_tensors(found.model).items() if not torch.equal(each, wanted[name])]
    if differing or found.config != expected.config or found.classes != expected.classes:
        what = f"tensor '{differing[0]}'" if differing else "its settings or classes"
        raise VerificationError(f"{path} was written but differs from what was imported: {what}; do not use it")
