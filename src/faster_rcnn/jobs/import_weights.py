"""``faster-rcnn import``: a model file from a checkpoint that another project's detectors wrote."""

from __future__ import annotations

from pathlib import Path

import torch

from faster_rcnn.atomic import is_stream
from faster_rcnn.errors import FasterRCNNError, VerificationError
from faster_rcnn.jobs.console import say
from faster_rcnn.jobs.outputs import require_file
from faster_rcnn.weights.layouts import Fit, classes_of, fit_of, layout_named, model_from_layout
from faster_rcnn.weights.model_file import LoadedModel, load_model, save_model, stored_tensors
from faster_rcnn.weights.state_dict import read_state_dict


def run(file: Path, *, layout: str, classes: str | None, out: Path) -> int:
    """Convert, write, read back and compare; returns the exit code."""
    require_file("--out", out, [file])
    layout_named(layout)  # before a large file is read
    foreign = read_state_dict(file)
    names = classes_of(file, foreign, layout, classes)
    say(table_of(fit_of(foreign, layout, names)))
    imported = model_from_layout(file, foreign, layout, names)
    save_model(out, imported.model, imported.config, imported.classes)
    if not is_stream(out):
        verify(out, imported)
    known = len(names) - len(names.holes)
    unused = f" ({len(names.holes)} more outputs have no class and are never reported)" if names.holes else ""
    counted = "1 class" if known == 1 else f"{known} classes"
    say(f"imported {file} as {layout} (from preset {imported.config.preset}): {counted}{unused}")
    say(f"wrote {out}, {'which cannot be read back' if is_stream(out) else 'read it back and found it equal'}")
    return 0


def table_of(fit: Fit) -> str:
    """Lines that say for each part of the detector how many tensors were found, and what became of all of them."""
    width = max(len(part) for part in fit.parts)
    rows = [f"{part:{width}}  {found:5} of {wanted} tensors" for part, (found, wanted) in fit.parts.items()]
    found = sum(found for found, _ in fit.parts.values())
    word = "with a place" if fit.missing or fit.left_over else "taken"
    constants = f", {fit.not_needed} constants and counters not needed" if fit.not_needed else ""
    total = f"{found + len(fit.left_over) + fit.not_needed} tensors in the file, {found} {word}{constants}"
    return "\n".join([*rows, f"{total}, {len(fit.missing)} missing, {len(fit.left_over)} left over"])


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
