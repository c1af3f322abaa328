"""Checking of a data set: the time of the whole pass over 5,000 images of 640 x 480 on two processors.

    python benchmarks/check_data.py --data DIR [--images 5000] [--processors 2]

The images are random cut-outs of those in DIR, saved as JPEG of quality 92, with seven random boxes each. They are made
in a temporary folder before the clock starts, and have just been written, so that they come from memory. The bar is the
time of ``check_data`` with the preset small, from the folder to all findings; the page and its pictures are timed
apart.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

from bars import Bar, judge
from coco_data import make_folders, write_split
from PIL import Image
from timing import machine, seconds

from faster_rcnn.checking.page import check_page
from faster_rcnn.checking.run import Checked, check_data
from faster_rcnn.data.layout.folders import IMAGE_SUFFIXES
from faster_rcnn.settings.presets import preset

MAX_SECONDS = 60.0
"""For 5,000 images on two processors; other numbers of images in proportion."""
WIDTH, HEIGHT, BOXES = 640, 480, 7
CLASSES = 10


def make(sources: list[Path], folder: Path, count: int) -> None:
    """Write a COCO data set of cut-outs of some images."""
    chance = random.Random(0)
    images, objects = [], []
    make_folders(folder)
    for number in range(count):
        with Image.open(sources[number % len(sources)]) as opened:
            picture = opened.convert("RGB")
        share = chance.uniform(0.5, 1.0)
        width, height = picture.width * share, picture.height * share
        left, top = chance.uniform(0, picture.width - width), chance.uniform(0, picture.height - height)
        name = f"{number:06}.jpg"
        cut = picture.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box=(left, top, left + width, top + height))
        cut.save(folder / "images" / name, quality=92)
        images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT})
        objects += [_box(chance, number, BOXES * number + each) for each in range(BOXES)]
    write_split(folder, "train", images, objects, [f"class {number}" for number in range(CLASSES)])


def _box(chance: random.Random, image: int, number: int) -> dict[str, object]:
    width, height = chance.uniform(10, 300), chance.uniform(10, 300)
    box = [chance.uniform(0, WIDTH - width), chance.uniform(0, HEIGHT - height), width, height]
    return {
        "image_id": image,
        "category_id": 1 + number % CLASSES,
        "bbox": box,
        "area": width * height,
        "iscrowd": 0,
    }


def _processor_seconds() -> float:
    """Seconds that processors have worked for this process and for those that it started and that have ended."""
    return sum(os.times()[:4])


def main() -> int:
    """Measure once, print the times, and judge the bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="folder with photographs")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--processors", type=int, default=2)
    options = parser.parse_args()
    sources = sorted(path for path in options.data.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not sources:
        parser.error(f"--data {options.data}: there are no images")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.processors])
    print(machine())
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "data"
        print(
            f"made {options.images} images in {seconds(lambda: make(sources, folder, options.images)):.1f} s",
            flush=True,
        )
        found: list[Checked] = []
        before = _processor_seconds()
        taken = seconds(lambda: found.append(check_data(folder, preset("small"))))
        used = 1000 * (_processor_seconds() - before) / options.images
        print(f"checked in {taken:.1f} s, {used:.2f} ms of a processor for an image", flush=True)
        print(f"page in {seconds(lambda: check_page(found[0])):.1f} s")
    what = f"seconds to check {options.images} images on {options.processors} processors"
    return judge([Bar(what, taken, at_most=MAX_SECONDS * options.images / 5000)])


if __name__ == "__main__":
    sys.exit(main())
