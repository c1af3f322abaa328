"""Makes one of our detectors of a checkpoint that another project's detectors wrote."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from faster_rcnn.errors import OptionError
from faster_rcnn.settings.inference import refuse_unchosen_floor
from faster_rcnn.settings.resolve import resolve_config
from faster_rcnn.settings.schema import Config
from faster_rcnn.weights.foreign.layouts import Fit, classes_of, count_classes, fit_of, layout_named, model_from_layout
from faster_rcnn.weights.foreign.state_dict import read_checkpoint
from faster_rcnn.weights.model_file import LoadedModel

_LOG = logging.getLogger(__name__)

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
"""Settings that Detectron2's files may hold, and the tensor that holds each."""


def import_checkpoint(
    file: Path, *, layout: str, classes: str | None = None, settings: Sequence[str] = (), key: str | None = None
) -> LoadedModel:
    """Read and convert a checkpoint; logs which of its tensors were used and which settings are assumed.

    Args:
        file: checkpoint of torchvision or Detectron2.
        layout: detector that wrote it, such as ``torchvision:fasterrcnn_resnet50_fpn``.
        classes: names as ``a,b,c``, or a file with one a line; COCO's where the size fits.
        settings: settings that weights do not hold, as ``section.key=value``.
        key: name of the set of weights, where the file has several.

    Raises:
        ModelFileError: the file cannot be read, or its tensors do not fit the layout or the classes.
        OptionError: there is no such setting, or the file itself holds another value of it (E125).
    """
    own = layout_named(layout).config()
    config = resolve_config(None, None, settings, {}, start=own)  # before a large file is read
    refuse_unchosen_floor(config)
    checkpoint = read_checkpoint(file, key)
    for note in checkpoint.notes:
        _LOG.info(note)
    foreign = checkpoint.tensors
    for line in table_of(fit_of(foreign, layout, count_classes(file, foreign, layout), config)):
        _LOG.info(line)
    imported = model_from_layout(file, foreign, layout, classes_of(file, foreign, layout, classes, config), config)
    given = [each.partition("=")[0].strip() for each in settings]
    _refuse_overruled(file, given, config, imported.config)
    _LOG.info(_assumptions(foreign, imported.config, given))
    return imported


def table_of(fit: Fit) -> list[str]:
    """A line for each part of the detector with its number of tensors, and one that accounts for all in the file."""
    width = max(len(part) for part in fit.parts)
    rows = [f"{part:{width}}  {found:5} of {wanted} tensors" for part, (found, wanted) in fit.parts.items()]
    found = sum(found for found, _ in fit.parts.values())
    word = "with a place" if fit.missing or fit.left_over else "taken"
    constants = f", {fit.not_needed} constants and counters not needed" if fit.not_needed else ""
    total = f"{found + len(fit.left_over) + fit.not_needed} tensors in the file, {found} {word}{constants}"
    return [*rows, f"{total}, {len(fit.missing)} missing, {len(fit.left_over)} left over"]


def _refuse_overruled(file: Path, given: Sequence[str], asked: Config, found: Config) -> None:
    """Raise ``OptionError`` for a given setting of which the file holds another value."""
    for name in given:
        if _value(asked, name) != _value(found, name):
            raise OptionError(
                f"--set {name}: {file} holds it itself, as {_text(_value(found, name))}; leave the option out",
                code="E125",
            )


def _assumptions(foreign: Mapping[str, Tensor], config: Config, given: Sequence[str]) -> str:
    """One line of the settings that the layout gives because neither the file nor the user does."""
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
