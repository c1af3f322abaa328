"""Detectors of other projects as ours: the one door for all their layouts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import torch
from torch import Tensor

from faster_rcnn.building import build_model
from faster_rcnn.errors import ModelFileError
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.classes import read_classes
from faster_rcnn.weights.foreign import detectron2_layout, torchvision_layout
from faster_rcnn.weights.foreign.layout import Layout
from faster_rcnn.weights.model_file import LoadedModel, new_model, refuse_misfits, refuse_unusable

LAYOUTS = {**torchvision_layout.LAYOUTS, **detectron2_layout.LAYOUTS}

PARTS = {
    "body": "backbone.body.",
    "pyramid": "backbone.pyramid.",
    "first stage": "rpn.",
    "second stage, head": "roi.head.",
    "second stage, outputs": "roi.",
}
"""Parts of a detector, and how our names of their tensors begin; the first that fits counts."""

LEAST_LIKENESS = 0.5
"""Of tensors that fit a layout, for it to be named as the one that they look like."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Which tensors of a file a layout needs, by their names of today."""

    parts: dict[str, tuple[int, int]]
    """For every part of the detector: tensors found, tensors wanted."""
    missing: tuple[str, ...]
    left_over: tuple[str, ...]
    not_needed: int
    """How many constants and counters there are, which files may hold and a detector has of its own."""


def layout_named(name: str) -> Layout:
    """A layout by the name that ``--layout`` takes; raises ``ModelFileError`` for another."""
    if name in LAYOUTS:
        return LAYOUTS[name]
    close = [each for each in LAYOUTS if name.lower() in each.lower()] if name else []
    close = close or get_close_matches(name, LAYOUTS, n=3)
    hint = f"did you mean {_either(close)}? " if close else ""
    raise ModelFileError(f"there is no layout '{name}'; {hint}layouts are {', '.join(LAYOUTS)}", code="E123")


def count_classes(source: Path | str, foreign: Mapping[str, Tensor], layout: str) -> int:
    """How many classes a file's detector has, background not counted; raises ``ModelFileError`` where it is none."""
    names = layout_named(layout)
    if names.class_scores is None:
        return len(names.classes())
    scores = foreign.get(names.class_scores)
    if scores is None or scores.ndim != 2 or len(scores) < 2:
        raise ModelFileError(
            f"{source} holds no usable tensor '{names.class_scores}', so it is no {layout}; nothing was loaded"
            f"{_other_layout(names.current(foreign), layout)}",
            code="E123",
        )
    return len(scores) - 1


def classes_of(
    source: Path | str, foreign: Mapping[str, Tensor], layout: str, text: str | None, config: Config | None = None
) -> ClassMap:
    """The classes of a file's detector: those of ``text``, as ``--classes`` takes it, or those that are published.

    Raises ``ModelFileError`` where the tensors do not fit the layout, and then where the names are not as many as the
    file's classes.
    """
    count = count_classes(source, foreign, layout)
    _refuse_misfits(source, foreign, layout, count, config)
    return read_classes(text, count, layout_named(layout).classes())


def fit_of(foreign: Mapping[str, Tensor], layout: str, classes: int, config: Config | None = None) -> Fit:
    """Which tensors are there, missing, and left over; nothing is loaded."""
    names = layout_named(layout)
    current = names.current(foreign)
    pairs = _wanted(names, config or names.config(), classes)
    counts = {part: [0, 0] for part in PARTS}
    for theirs, (ours, _) in pairs.items():
        part = next(part for part, beginning in PARTS.items() if ours.startswith(beginning))
        counts[part][0] += theirs in current
        counts[part][1] += 1
    return Fit(
        parts={part: (found, wanted) for part, (found, wanted) in counts.items() if wanted},
        missing=tuple(name for name in pairs if name not in current),
        left_over=tuple(name for name in current if name not in pairs),
        not_needed=len(foreign) - len(current),
    )


def model_from_layout(
    source: Path | str, foreign: Mapping[str, Tensor], layout: str, classes: ClassMap, config: Config | None = None
) -> LoadedModel:
    """A detector with the weights of another project's, in inference mode; ``config`` is the layout's unless given.

    Raises ``ModelFileError`` if one tensor is missing, unknown, of another shape, or not made of finite numbers; then
    nothing is loaded.
    """
    names = layout_named(layout)
    config = names.read_settings(source, foreign, config or names.config())
    _refuse_misfits(source, foreign, layout, len(classes), config)
    current = names.current(foreign)
    refuse_values(source, current)
    model = new_model(source, config, classes)
    model.load_state_dict(names.to_ours(current), strict=False)  # strict but for counters of batch norm
    return LoadedModel(model.eval(), config, classes)


def refuse_values(source: Path | str, tensors: Mapping[str, Tensor]) -> None:
    """Raise ``ModelFileError`` for tensors that are no weights: integers, without values, or not finite in float32."""
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            kind = str(tensor.dtype).removeprefix("torch.")
            raise ModelFileError(
                f"{source}: tensor '{name}' holds {kind}, not floating-point numbers; nothing was loaded. Import the "
                "weights that the quantized ones were made of",
                code="E123",
            )
        if tensor.is_meta or tensor.layout != torch.strided:
            raise ModelFileError(
                f"{source}: tensor '{name}' is no dense tensor with values; nothing was loaded. Save "
                "model.state_dict() of the whole model and import that",
                code="E123",
            )
    refuse_unusable(source, tensors)


def _refuse_misfits(
    source: Path | str, foreign: Mapping[str, Tensor], layout: str, classes: int, config: Config | None
) -> None:
    """Raise ``ModelFileError`` if one tensor is missing, unknown or of another shape."""
    names = layout_named(layout)
    current = names.current(foreign)
    wanted = {theirs: tensor for theirs, (_, tensor) in _wanted(names, config or names.config(), classes).items()}
    refuse_misfits(source, current, wanted, hint=lambda: _other_layout(current, layout))


def _wanted(names: Layout, config: Config, classes: int) -> dict[str, tuple[str, Tensor]]:
    """By their name: our name, and a tensor without content of the shape that theirs must have."""
    with torch.device("meta"):
        tensors = build_model(config, classes).state_dict()
    ours = {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
    theirs = names.to_theirs(ours)
    return {name: (own, tensor) for own, (name, tensor) in zip(ours, theirs.items(), strict=True)}


def _other_layout(current: Mapping[str, Tensor], asked: str) -> str:
    """A hint at the layouts that these tensors look like, if the one that was asked for is not among them."""
    likeness = {name: _likeness(current, layout) for name, layout in LAYOUTS.items()}
    best = max(likeness.values())
    likely = [name for name, each in likeness.items() if each == best]
    if best < LEAST_LIKENESS or asked in likely:
        return ""
    return f". The tensors look like --layout {' or '.join(likely)}"


def _likeness(current: Mapping[str, Tensor], layout: Layout) -> float:
    """The share of all tensors, found and wanted, that have the same name and shape."""
    scores = current.get(layout.class_scores or "")
    classes = len(layout.classes()) if scores is None else max(1, len(scores) - 1)
    wanted = _wanted(layout, layout.config(), classes)
    same = sum(name in current and current[name].shape == tensor.shape for name, (_, tensor) in wanted.items())
    return same / (len(wanted) + len(current) - same)


def _either(names: list[str]) -> str:
    """Names in quotation marks, to choose from.

    >>> _either(["a", "b", "c"])
    "'a', 'b' or 'c'"
    """
    *others, last = (f"'{name}'" for name in names)
    return f"{', '.join(others)} or {last}" if others else last
