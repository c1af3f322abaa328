"""Import of detectors of other projects, by the name of their layout."""

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
"""Prefixes of our tensor names by part of the detector; a tensor belongs to the first part that fits."""

MIN_LIKENESS = 0.5
"""Share of matching tensors from which on a message proposes a layout."""


@dataclass(frozen=True, slots=True)
class Fit:
    """The tensors of a file compared with those of a layout, by their current names."""

    parts: dict[str, tuple[int, int]]
    """For every part of the detector, the number of tensors found and the number required."""
    missing: tuple[str, ...]
    left_over: tuple[str, ...]
    not_needed: int
    """Number of constants and counters in the file, which our detectors take from their settings."""


def layout_named(name: str) -> Layout:
    """Return a layout by the name that ``--layout`` takes; raises ``ModelFileError`` (E123) for an unknown name."""
    if name in LAYOUTS:
        return LAYOUTS[name]
    close = [each for each in LAYOUTS if name.lower() in each.lower()] if name else []
    close = close or get_close_matches(name, LAYOUTS, n=3)
    hint = f"did you mean {_either(close)}? " if close else ""
    raise ModelFileError(f"there is no layout '{name}'; {hint}layouts are {', '.join(LAYOUTS)}", code="E123")


def count_classes(source: Path | str, foreign: Mapping[str, Tensor], layout: str) -> int:
    """Count the classes of the detector in a file, without background.

    Raises ``ModelFileError`` (E123) where the file lacks the tensor of class scores.
    """
    names = layout_named(layout)
    if names.class_scores is None:
        return len(names.classes())
    scores = foreign.get(names.class_scores)
    if scores is None or scores.ndim != 2 or len(scores) < 2:
        raise ModelFileError(
            f"{source} holds no usable tensor '{names.class_scores}', so it is no {layout}; nothing was loaded"
            f"{_other_layout(names.with_current_names(foreign), layout)}",
            code="E123",
        )
    return len(scores) - 1


def classes_of(
    source: Path | str, foreign: Mapping[str, Tensor], layout: str, text: str | None, config: Config | None = None
) -> ClassMap:
    """Classes of the detector in a file: from ``text``, as ``--classes`` takes it, else those of published weights.

    Raises ``ModelFileError`` (E123) where the tensors do not fit the layout, or the number of names differs from the
    number of classes in the file.
    """
    count = count_classes(source, foreign, layout)
    _refuse_misfits(source, foreign, layout, count, config)
    return read_classes(text, count, layout_named(layout).classes())


def fit_of(foreign: Mapping[str, Tensor], layout: str, classes: int, config: Config | None = None) -> Fit:
    """Compare the tensors of a file with those of a layout, without loading them."""
    names = layout_named(layout)
    current = names.with_current_names(foreign)
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
    """Build a detector in inference mode with weights of another project; ``config`` replaces the layout's settings.

    Raises ``ModelFileError`` (E123) where a tensor is missing, unknown, of another shape or not finite; then nothing is
    loaded.
    """
    names = layout_named(layout)
    config = names.read_settings(source, foreign, config or names.config())
    _refuse_misfits(source, foreign, layout, len(classes), config)
    current = names.with_current_names(foreign)
    refuse_values(source, current)
    model = new_model(source, config, classes)
    model.load_state_dict(names.to_ours(current), strict=False)  # only the counters of batch norm are missing
    return LoadedModel(model.eval(), config, classes)


def refuse_values(source: Path | str, tensors: Mapping[str, Tensor]) -> None:
    """Raise ``ModelFileError`` (E123) for tensors of integers, without values, or not finite in float32."""
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
    """Raise ``ModelFileError`` (E123) where a tensor is missing, unknown or of another shape."""
    names = layout_named(layout)
    current = names.with_current_names(foreign)
    wanted = {theirs: tensor for theirs, (_, tensor) in _wanted(names, config or names.config(), classes).items()}
    refuse_misfits(source, current, wanted, hint=lambda: _other_layout(current, layout))


def _wanted(names: Layout, config: Config, classes: int) -> dict[str, tuple[str, Tensor]]:
    """For each tensor name of the layout, our name and a tensor on the meta device with the required shape."""
    with torch.device("meta"):
        tensors = build_model(config, classes).state_dict()
    ours = {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
    theirs = names.to_theirs(ours)
    return {name: (own, tensor) for own, (name, tensor) in zip(ours, theirs.items(), strict=True)}


def _other_layout(current: Mapping[str, Tensor], asked: str) -> str:
    """A hint that names the layouts with the most matching tensors, where ``asked`` is not among them."""
    likeness = {name: _likeness(current, layout) for name, layout in LAYOUTS.items()}
    best = max(likeness.values())
    likely = [name for name, each in likeness.items() if each == best]
    if best < MIN_LIKENESS or asked in likely:
        return ""
    return f". The tensors fit --layout {' or '.join(likely)}"


def _likeness(current: Mapping[str, Tensor], layout: Layout) -> float:
    """Share of all tensors, of the file and of the layout, that have the same name and shape in both."""
    scores = current.get(layout.class_scores or "")
    classes = len(layout.classes()) if scores is None else max(1, len(scores) - 1)
    wanted = _wanted(layout, layout.config(), classes)
    same = sum(name in current and current[name].shape == tensor.shape for name, (_, tensor) in wanted.items())
    return same / (len(wanted) + len(current) - same)


def _either(names: list[str]) -> str:
    """Join names in quotation marks with "or".

    >>> _either(["a", "b", "c"])
    "'a', 'b' or 'c'"
    """
    *others, last = (f"'{name}'" for name in names)
    return f"{', '.join(others)} or {last}" if others else last
