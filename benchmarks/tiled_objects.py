"""A data set of many tiny objects, made of the pictures of another one: each is shrunk, and several lie on one canvas.

    python benchmarks/tiled_objects.py --data DIR --out TINY [--side 12] [--objects 30] [--images 100]
    python benchmarks/training_accuracy.py --data TINY

A picture is shrunk until the median side of its objects is `--side` pixels. Pictures are placed on a blurred canvas,
where none covers another one, until it holds `--objects` objects. The canvas has the size to which `small` resizes
images, so that the sides are those that the detector gets. The splits train and val are made of the training split, two
thirds and one third of its pictures; no other split is read. Equal seeds give equal bytes.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from coco_data import make_folders, write_split
from PIL import Image, ImageFilter, ImageOps

from faster_rcnn.data.reading import load_dataset
from faster_rcnn.data.records import ImageRecord
from faster_rcnn.settings.presets import preset

CANVAS = 555, 416
"""Width and height in pixels."""
SMALLEST = 5.0
"""Objects with a shorter side are not labelled: they are marked as regions that are ignored."""
TRIES = 40
"""Places that are tried for a picture before the canvas counts as full."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A shrunk picture on a canvas."""

    record: ImageRecord
    place: tuple[int, int, int, int]
    """Corners (x1, y1, x2, y2) in pixels of the canvas."""

    def annotations(self) -> Iterator[dict[str, Any]]:
        """Its objects in pixels of the canvas, as COCO has them."""
        x1, y1, x2, _ = self.place
        factor = (x2 - x1) / self.record.size.width
        truth = self.record.truth
        rows = zip(truth.labels.tolist(), truth.ignored.tolist(), self.record.boxes_xywh.tolist(), strict=True)
        for label, ignored, (x, y, width, height) in rows:
            box = [x1 + x * factor, y1 + y * factor, width * factor, height * factor]
            unclear = ignored or min(box[2:]) < SMALLEST
            yield {"category_id": label + 1, "bbox": box, "area": box[2] * box[3], "iscrowd": int(unclear)}

    def overlaps(self, place: tuple[int, int, int, int]) -> bool:
        """Whether another place on the canvas shares a pixel with this one."""
        return all(self.place[axis] < place[axis + 2] and place[axis] < self.place[axis + 2] for axis in (0, 1))


def make_tiled(data: Path, folder: Path, images: int, *, side: float = 12, objects: int = 30, seed: int = 0) -> Path:
    """Write the data set as COCO, ``images`` canvases for training and a third as many for validation."""
    split = load_dataset(data, preset("small").data).splits["train"]
    chance = random.Random(seed)
    records = [each for each in split.records if len(each.truth.boxes)]
    chance.shuffle(records)
    names = [name for name in split.classes.names if name is not None]
    third = len(records) // 3
    make_folders(folder)
    for part, own, count in (("val", records[:third], max(1, images // 3)), ("train", records[third:], images)):
        images_of_part: list[dict[str, Any]] = []
        found: list[dict[str, Any]] = []
        for number in range(count):
            name = f"{part}-{number:04}.png"
            placed = _canvas(own, side, objects, chance, folder / "images" / name)
            images_of_part.append({"id": number, "file_name": name, "width": CANVAS[0], "height": CANVAS[1]})
            found += [{"image_id": number, **each} for one in placed for each in one.annotations()]
        write_split(folder, part, images_of_part, found, names)
    return folder


def _canvas(
    records: Sequence[ImageRecord], side: float, objects: int, chance: random.Random, path: Path
) -> list[Placed]:
    """Write one canvas, and return what lies on it."""
    ground = _opened(chance.choice(records)).resize(CANVAS).filter(ImageFilter.GaussianBlur(40))
    placed: list[Placed] = []
    count = 0
    while count < objects:
        record = chance.choice(records)
        place = _place(record, side, placed, chance)
        if place is None:
            break
        placed.append(Placed(record, place))
        count += len(record.truth.boxes)
        ground.paste(_opened(record).resize((place[2] - place[0], place[3] - place[1])), place)
    ground.save(path)
    return placed


def _place(
    record: ImageRecord, side: float, placed: Sequence[Placed], chance: random.Random
) -> tuple[int, int, int, int] | None:
    """A free place for a picture that is shrunk, at random; ``None`` where none was found."""
    sides = (record.boxes_xywh[:, 2] * record.boxes_xywh[:, 3]).sqrt().tolist()
    factor = min(side / median(sides), CANVAS[0] / 2 / record.size.width, CANVAS[1] / 2 / record.size.height)
    width, height = max(1, round(record.size.width * factor)), max(1, round(record.size.height * factor))
    for _ in range(TRIES):
        x, y = chance.randint(0, CANVAS[0] - width), chance.randint(0, CANVAS[1] - height)
        place = (x, y, x + width, y + height)
        if not any(each.overlaps(place) for each in placed):
            return place
    return None


def _opened(record: ImageRecord) -> Image.Image:
    with Image.open(record.path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="labelled images with a split train")
    parser.add_argument("--out", type=Path, required=True, help="new folder for the data set")
    parser.add_argument("--side", type=float, default=12, help="median side of the objects of a picture, in pixels")
    parser.add_argument("--objects", type=int, default=30, help="objects on a canvas, about")
    parser.add_argument("--images", type=int, default=100, help="canvases for training; a third as many for validation")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    given = {"side": options.side, "objects": options.objects, "seed": options.seed}
    print(make_tiled(options.data, options.out, options.images, **given))
    return 0


if __name__ == "__main__":
    sys.exit(main())
