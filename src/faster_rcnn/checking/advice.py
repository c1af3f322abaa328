"""Remarks on data that are sound: balance of classes, sizes of objects, and how well anchors fit them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from faster_rcnn.building import build_without_values
from faster_rcnn.checking.finding import Finding
from faster_rcnn.data.anchor_fitting import AnchorFit
from faster_rcnn.data.anchor_recall import best_ious
from faster_rcnn.data.records import Split
from faster_rcnn.data.remarks import few_objects, small_objects, tiny_boxes, uneven_classes
from faster_rcnn.images import rescale_truth, target_size
from faster_rcnn.parsing.values import first_of
from faster_rcnn.settings.schema import Config, ImageConfig
from faster_rcnn.structures import ClassMap
from faster_rcnn.training.data_settings import ENOUGH, better_anchors

SIZES = (16, 32, 64, 128, 256)
"""Borders of the sizes of objects, as square roots of areas in pixels of the resized image."""


@dataclass(frozen=True, slots=True)
class Recall:
    """The best possible recall of a preset's anchors for some objects."""

    objects: int
    half: float
    """Share of the objects that an anchor has an IoU of 0.5 with."""
    positive: float
    """Share of the objects that an anchor has an IoU of 0.7 with, from which on it is positive (section 3.1.2)."""

    def to_json(self) -> dict[str, float]:
        """The numbers by their names."""
        return {"objects": self.objects, "iou_50": self.half, "iou_70": self.positive}


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """The objects of train that are not ignored, in pixels of the resized image."""

    boxes: Float[Tensor, "objects 4"]
    labels: Int[Tensor, " objects"]
    classes: ClassMap

    @property
    def shapes(self) -> Float[Tensor, "objects 2"]:
        """Height and width of each."""
        return (self.boxes[:, 2:] - self.boxes[:, :2]).flip(1)

    @property
    def sides(self) -> Float[Tensor, " objects"]:
        """Square roots of their areas."""
        return self.shapes.prod(dim=1).sqrt()


@dataclass(frozen=True, slots=True, eq=False)
class Anchors:
    """How well the anchors of the settings fit the objects, and better ones where they are needed."""

    preset: str
    all: Recall
    by_class: dict[str, Recall]
    by_size: dict[str, Recall]
    fit: AnchorFit | None
    follows: bool
    """Whether training fits anchors by itself (``rpn.follow_data``)."""

    def to_json(self) -> dict[str, Any]:
        """All numbers, and the option that trains with fitted anchors."""
        return {
            "preset": self.preset,
            "all": self.all.to_json(),
            "by_class": {name: each.to_json() for name, each in self.by_class.items()},
            "by_size": {name: each.to_json() for name, each in self.by_size.items()},
            "fitted": None if self.fit is None else {"option": self.fit.words, "iou_50": self.fit.after.half},
        }


def objects_of(split: Split, image: ImageConfig) -> Objects:
    """The objects of a split that are not ignored, resized with their images."""
    boxes, labels = [torch.zeros(0, 4)], [torch.zeros(0, dtype=torch.int64)]
    for record in split.records:
        resized = target_size(record.size, image.short_side, image.long_side, image.size_rounding)
        kept = ~record.truth.ignored
        boxes.append(rescale_truth(record.truth, record.size, resized).boxes[kept])
        labels.append(record.truth.labels[kept])
    return Objects(torch.cat(boxes), torch.cat(labels), split.classes)


def anchors_of(objects: Objects, config: Config) -> Anchors | None:
    """How well anchors fit; ``None`` without objects, or for a detector without anchors."""
    if not len(objects.labels) or config.detector.kind == "fast-rcnn":
        return None
    strides = build_without_values(config, 1).rpn.anchors.strides
    ious, sides = best_ious(objects.boxes, config.rpn, strides), objects.sides
    counts = Counter(objects.labels.tolist())
    spans = pairwise((0.0, *SIZES, float("inf")))
    by_size = {f"{low:g} to {high:g}": ious[(sides > low) & (sides <= high)] for low, high in spans}
    return Anchors(
        preset=config.preset,
        all=_recall(ious),
        by_class={
            objects.classes.name_of(label): _recall(ious[objects.labels == label]) for label, _ in counts.most_common()
        },
        by_size={name: _recall(each) for name, each in by_size.items() if len(each)},
        fit=better_anchors(config.rpn, objects.shapes, strides),
        follows=config.rpn.follow_data,
    )


def _recall(ious: Float[Tensor, " objects"]) -> Recall:
    half, positive = (float((ious >= least).double().mean()) for least in (0.5, 0.7))
    return Recall(len(ious), half, positive)


def advice_on(splits: Mapping[str, Split], anchors: Anchors | None, config: Config) -> Iterator[Finding]:
    """Remarks on the splits of a sound data set."""
    train = splits.get("train")
    if train is not None:
        for kind, lines in (
            ("balance.classes", uneven_classes(train)),
            ("size.small", [*tiny_boxes(train, config.image), *small_objects(train, config.image)]),
        ):
            for line in lines:
                yield Finding(kind, "train", "", "", line)
    for split in splits.values():
        absent = _absent(split)
        if absent and split is train:
            yield Finding("balance.unlearnt", "train", "", "", first_of(absent, 20))
        elif absent:
            yield Finding("balance.unmeasured", split.name, "", "", first_of(absent, 20))
        if split is not train:
            for line in few_objects(split):
                yield Finding("balance.few", split.name, "", "", line)
    if anchors is not None and (anchors.fit is not None or anchors.all.half < ENOUGH):
        yield Finding("anchor.recall", "train", "", "", _about_anchors(anchors))


def _absent(split: Split) -> list[str]:
    used = {label for record in split.records for label in record.truth.labels[~record.truth.ignored].tolist()}
    return [split.classes.name_of(label) for label in range(len(split.classes)) if label not in used]


def _about_anchors(anchors: Anchors) -> str:
    worst = min(anchors.by_class, key=lambda name: anchors.by_class[name].half)
    line = (
        f"preset {anchors.preset}: {anchors.all.half:.0%} of {anchors.all.objects:,} objects have an anchor of IoU "
        f"0.5, of {worst} {anchors.by_class[worst].half:.0%}"
    )
    if anchors.fit is None:
        return f"{line}; no other anchors fit clearly better"
    by_itself = " (training does this by itself)" if anchors.follows else ""
    return f"{line}; fitted anchors fit {anchors.fit.after.half:.0%}{by_itself}: {anchors.fit.words}"
