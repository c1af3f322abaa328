"""Variants of detectors that `frontier.py` trains, and the folds of data that it trains and measures them on."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coco_data import make_folders, write_split

from faster_rcnn.data.reading import load_dataset
from faster_rcnn.data.records import ImageRecord
from faster_rcnn.settings.presets import preset
from faster_rcnn.structures import ClassMap

FOLDS = 3
"""A training split is cut into this many parts, one of which is measured."""
FINAL = -1
"""In place of a part's number: the whole training split, measured on the data's own split ``test``, else ``val``."""
COARSE = "rpn.anchor_sizes=[[], [24, 48], [48, 96], [96, 192], [192, 384]]"
"""Anchors of two sizes from stride 8 on, in place of one size from stride 4 on."""
EIGHT = "rpn.anchor_sizes=[[], [32, 64], [64, 128], [128, 256], [256, 512]]"
"""The same with the anchors of eight strides that `small` has at each level, and those of four."""
FINER = "rpn.anchor_sizes=[[], [18, 36], [36, 72], [72, 144], [144, 288]]"
"""Three quarters of these, for images of 320 pixels instead of 416."""
HUNDRED = "rpn.proposals_after_nms=100"
BEFORE = (
    "rpn.anchor_sizes=[[32], [64], [128], [256], [512]]",
    "rpn.follow_data=false",
    "rpn.head_channels=0",
    "rpn.proposals_before_nms=1000",
    "rpn.proposals_after_nms=300",
    "backbone.pyramid_plain=0",
    "roi.head_hidden=[1024, 1024]",
    "training.optimizer=sgd",
    "training.lr=0.08",
    "training.weight_decay=0.0001",
)
"""`small` as it was when the search began: what a variant does not set."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A preset and the settings in which a variant differs from it."""

    preset: str
    settings: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    """Settings that the preset had when the variant was named; those of the variant go first."""

    @property
    def all_settings(self) -> list[str]:
        """What a detector is trained with."""
        own = {each.partition("=")[0] for each in self.settings}
        return [*self.settings, *(each for each in self.before if each.partition("=")[0] not in own)]

    def __str__(self) -> str:
        return " ".join((self.preset, *self.settings))


def _small(*settings: str) -> Variant:
    return Variant("small", settings, BEFORE)


PIXELS_320 = ("image.short_side=320", "image.long_side=512")
PIXELS_288 = ("image.short_side=288", "image.long_side=480")
PIXELS_256 = ("image.short_side=256", "image.long_side=416")
PIXELS_224 = ("image.short_side=224", "image.long_side=384")
HEADS = ("rpn.head_channels=64", "roi.head_hidden=[512, 512]")
ADAMW = ("training.optimizer=adamw", "training.lr=0.0016", "training.weight_decay=0.05")


def _slim(*settings: str, recipe: Sequence[str] = ADAMW) -> Variant:
    """``plain`` with narrower heads, trained by AdamW."""
    return _small(COARSE, HUNDRED, "backbone.pyramid_plain=1", *HEADS, *recipe, *settings)


def _lean(*settings: str, anchors: str = COARSE, recipe: Sequence[str] = ADAMW) -> Variant:
    """``slim-adamw`` with one 3x3 convolution less in the pyramid and fewer candidates for proposals."""
    plain = ("backbone.pyramid_plain=2", "rpn.proposals_before_nms=300")
    return _small(anchors, HUNDRED, *plain, *HEADS, *recipe, *settings)


VARIANTS = {
    "small-before": _small(),
    "plain": _small(COARSE, HUNDRED, "backbone.pyramid_plain=1"),
    "plain-96": _small(COARSE, HUNDRED, "backbone.pyramid_plain=1", "backbone.pyramid_channels=96"),
    "plain-64": _small(COARSE, HUNDRED, "backbone.pyramid_plain=1", "backbone.pyramid_channels=64"),
    "slim": _slim(recipe=()),
    "slim-adamw": _slim(),
    "slim-adamw-24": _slim(recipe=("training.optimizer=adamw", "training.lr=0.0024", "training.weight_decay=0.05")),
    "lean": _lean(),
    "lean-96": _lean("backbone.pyramid_channels=96"),
    "lean-sgd": _lean(recipe=()),
    "lean-ciou": _lean("roi.box_loss=ciou", "roi.box_loss_weight=5"),
    "lean-ema": _lean("training.ema_decay=0.98"),
    "lean-wide": _lean("training.scale_jitter=[0.6, 1.6]"),
    "lean-unfrozen": _lean("backbone.frozen_stages=0"),
    "lean-data": _lean("rpn.follow_data=true"),
    "lean-320": _lean(*PIXELS_320),
    "lean-320-96": _lean(*PIXELS_320, "backbone.pyramid_channels=96"),
    "lean-320-96-18": _lean(*PIXELS_320, "backbone.pyramid_channels=96", anchors=FINER),
    "lean-320-64": _lean(*PIXELS_320, "backbone.pyramid_channels=64"),
    "lean-288-96": _lean(*PIXELS_288, "backbone.pyramid_channels=96"),
    "lean-288-80": _lean(*PIXELS_288, "backbone.pyramid_channels=80"),
    "lean-288-64": _lean(*PIXELS_288, "backbone.pyramid_channels=64"),
    "lean-256-96": _lean(*PIXELS_256, "backbone.pyramid_channels=96"),
    "lean-224-96": _lean(*PIXELS_224, "backbone.pyramid_channels=96"),
    "lean-plus": _lean("backbone.body=tf_efficientnet_lite2", "image.short_side=512", "image.long_side=800"),
    "mobile-320": Variant("mobile-320", ("backbone.weights=none", "backbone.norm=batch", "backbone.frozen_stages=0")),
    "eight": _small(EIGHT, HUNDRED, "backbone.pyramid_plain=1"),
    "eight-adamw": _small(
        EIGHT,
        HUNDRED,
        "backbone.pyramid_plain=1",
        "training.optimizer=adamw",
        "training.lr=0.0008",
        "training.weight_decay=0.05",
    ),
}
"""The variants by name; a name keeps its settings for ever, since lines of results hold it."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One of the parts of a training split: a folder with the splits ``train`` and ``test``."""

    data: str
    """Name of the data."""
    number: int
    folder: Path

    @classmethod
    def parse(cls, text: str) -> Fold:
        """A fold from its text."""
        name, _, folder = text.partition("=")
        data, _, number = name.partition("-")
        return cls(data, int(number), Path(folder))

    def epochs_for(self, images: int) -> int:
        """The number of epochs in which training takes so many images, at least one."""
        content = json.loads((self.folder / "annotations" / "train.json").read_text(encoding="utf-8"))
        return max(1, round(images / len(content["images"])))

    def __str__(self) -> str:
        return f"{self.data}-{self.number}={self.folder}"


def fold_of(name: str, data: Path, number: int, folder: Path) -> Fold:
    """Write a fold of the training split of some data as COCO; the same call writes the same bytes.

    Every third image, in an order that a seed shuffles, is in the split ``test``, unless the number is ``FINAL``.
    """
    splits = load_dataset(data, preset("small").data).splits
    split = splits["train"]
    if number == FINAL:
        parts = {"train": list(split.records), "test": list(splits["test" if "test" in splits else "val"].records)}
    else:
        records = random.Random(0).sample(list(split.records), len(split.records))
        parts = {
            "train": [each for place, each in enumerate(records) if place % FOLDS != number],
            "test": [each for place, each in enumerate(records) if place % FOLDS == number],
        }
    root = folder / f"{name}-{number}"
    shutil.rmtree(root, ignore_errors=True)
    make_folders(root)
    for part, chosen in parts.items():
        _write(root, part, chosen, split.classes)
    return Fold(name, number, root)


def _write(root: Path, part: str, records: Sequence[ImageRecord], classes: ClassMap) -> None:
    """Copy the images of a split, and write their objects, with sizes of the upright images."""
    names = [name for name in classes.names if name is not None]
    images: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    for place, record in enumerate(records):
        file_name = f"{part}-{place:05}{record.path.suffix}"
        shutil.copyfile(record.path, root / "images" / file_name)
        size = {"width": record.size.width, "height": record.size.height}
        images.append({"id": place, "file_name": file_name, **size})
        truth = record.truth
        columns = truth.labels.tolist(), truth.ignored.tolist(), record.areas.tolist(), record.boxes_xywh.tolist()
        for label, ignored, area, box in zip(*columns, strict=True):
            category = names.index(str(classes.names[label])) + 1
            own = {"image_id": place, "category_id": category, "bbox": box, "area": area, "iscrowd": int(ignored)}
            objects.append(own)
    write_split(root, part, images, objects, names)
