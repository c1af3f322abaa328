"""``faster-rcnn import``: a model file from a checkpoint that another project's detectors wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from faster_rcnn.cli.outputs import require_file
from faster_rcnn.errors import FasterRCNNError, OptionError, VerificationError
from faster_rcnn.settings.resolve import resolve_config
from faster_rcnn.settings.schema import Config
from faster_rcnn.system.atomic import atomic_write
from faster_rcnn.system.console import say
from faster_rcnn.weights.foreign.layouts import Fit, classes_of, count_classes, fit_of, layout_named, model_from_layout
from faster_rcnn.weights.foreign.state_dict import read_checkpoint
from faster_rcnn.weights.model_file import LoadedModel, load_model, save_model, stored_tensors

ASSUMED = (
    "image.short_side",
    "image.long_side",
    "image.mean",
    "image.std",
    "rpn.anchor_sizes",
    "rpn.anchor_heights_over_widths",
    "rpn.proposals_after_nms",
    "rpn.nms_iou",
    "rpn.score_floor",
    "roi.score_floor",
    "roi.nms_iou",
    "roi.max_detections",
)
"""Settings of inference that people change and that weights do not hold."""

HELD = {
    "image.mean": "pixel_mean",
    "image.std": "pixel_std",
    "rpn.anchor_sizes": "proposal_generator.anchor_generator.cell_anchors.0",
    "rpn.anchor_heights_over_widths": "proposal_generator.anchor_generator.cell_anchors.0",
}
"""Settings that Detectron2's files may hold, and the tensor that does."""


def run(
    file: Path,
    *,
    layout: str,
    classes: str | None,
    out: Path,
    settings: Sequence[str] = (),
    key: str | None = None,
) -> int:
    """Convert, write, read back and compare; returns the exit code."""
    require_file("--out", out, [file])
    own = layout_named(layout).config()
    config = resolve_config(None, None, settings, {}, start=own)  # before a large file is read
    checkpoint = read_checkpoint(file, key)
    for note in checkpoint.notes:
        say(note)
    foreign = checkpoint.tensors
    say(*table_of(fit_of(foreign, layout, count_classes(file, foreign, layout), config)))
    names = classes_of(file, foreign, layout, classes, config)
    imported = model_from_layout(file, foreign, layout, names, config)
    given = [each.partition("=")[0].strip() for each in settings]
    _refuse_overruled(file, given, config, imported.config)
    say(_assumptions(foreign, imported.config, given))
    with atomic_write(out) as temporary:
        save_model(temporary, imported.model, imported.config, imported.classes)
        verify(temporary, imported, out)
    known = len(names) - len(names.holes)
    unused = f" ({len(names.holes)} more outputs have no class and are never reported)" if names.holes else ""
    counted = "1 class" if known == 1 else f"{known} classes"
    say(f"imported {file} as {layout} (from preset {imported.config.preset}): {counted}{unused}")
    say(f"wrote {out}, read it back and found it equal")
    return 0


def table_of(fit: Fit) -> list[str]:
    """Lines that say for each part of the detector how many tensors were found, and what became of all of them."""
    width = max(len(part) for part in fit.parts)
    rows = [f"{part:{width}}  {found:5} of {wanted} tensors" for part, (found, wanted) in fit.parts.items()]
    found = sum(found for found, _ in fit.parts.values())
    word = "with a place" if fit.missing or fit.left_over else "taken"
    constants = f", {fit.not_needed} constants and counters not needed" if fit.not_needed else ""
    total = f"{found + len(fit.left_over) + fit.not_needed} tensors in the file, {found} {word}{constants}"
    return [*rows, f"{total}, {len(fit.missing)} missing, {len(fit.left_over)} left over"]


def verify(path: Path, expected: LoadedModel, out: Path) -> None:
    """Raise ``VerificationError`` unless the model file, which is to become ``out``, holds exactly this detector."""
    try:
        found = load_model(path)
    except FasterRCNNError as error:
        raise VerificationError(f"what was written for {out} cannot be read back and is removed: {error}") from error
    wanted = stored_tensors(expected.model)
    differing = [name for name, each in stored_tensors(found.model).items() if not torch.equal(each, wanted[name])]
    if differing or found.config != expected.config or found.classes != expected.classes:
        what = f"tensor '{differing[0]}'" if differing else "its settings or classes"
        raise VerificationError(f"what was written for {out} differs from what was imported in {what}; it is removed")


def _refuse_overruled(file: Path, given: Sequence[str], asked: Config, found: Config) -> None:
    """Raise ``OptionError`` for a setting that was given and that the file holds with another value."""
    for name in given:
        if _value(asked, name) != _value(found, name):
            raise OptionError(
                f"--set {name}: {file} holds it itself, as {_text(_value(found, name))}; leave the option out",
                code="E125",
            )


def _assumptions(foreign: Mapping[str, Tensor], config: Config, given: Sequence[str]) -> str:
    """One line of the settings that are the layout's own because neither the file nor the user gives them."""
    absent = {"faster-rcnn": "", "fast-rcnn": "rpn.", "rpn": "roi."}[config.detector.kind]
    names = [
        name
        for name in ASSUMED
        if HELD.get(name) not in foreign and name not in given and not (absent and name.startswith(absent))
    ]
    values = " ".join(f"{name}={_text(_value(config, name))}" for name in names)
    return f"the file does not hold these settings; the layout's own are assumed, and --set changes them: {values}"


def _value(config: Config, name: str) -> object:
    section, _, field = name.partition(".")
    return getattr(getattr(config, section), field)


def _text(value: object) -> str:
    """A setting as ``--set`` takes it, with no more digits than it has.

    >>> _text(((32.0, 64.0), (0.5, 1 / 3)))
    '[[32,64],[0.5,0.333333]]'
    """
    if isinstance(value, list | tuple):
        return f"[{','.join(_text(each) for each in value)}]"
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)
