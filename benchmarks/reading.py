"""Time of reading 20,000 annotations of 5,000 images in four formats, against another checkout.

    python benchmarks/reading.py --against OTHER/src

This code and the other are timed in turn, each reading in a process of its own; the bar is 1.2 times the time of the
other code. Hashing the contents of the images, which a run does once for its record of the data, is timed separately.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bars import Bar, judge
from checkouts import OURS, median_with_range, output_of
from PIL import Image
from timing import seconds

from faster_rcnn.data.fingerprint import content_digests

WIDTH, HEIGHT = 320, 240
CLASSES = ("date", "fig", "hazelnut")
READ = """
import sys, time
from pathlib import Path
from faster_rcnn.settings.schema import DataConfig
from faster_rcnn.data.reading import load_dataset
start = time.perf_counter()
dataset = load_dataset(Path(sys.argv[1]), DataConfig())
print(time.perf_counter() - start, sum(len(split.records) for split in dataset.splits.values()))
"""

Box = tuple[int, int, int, int, int]
"""x, y, width, height and class."""
Annotated = dict[str, list[Box]]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="the src folder of another checkout")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--annotations", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        made = make_data(Path(folder), options.images, options.annotations)
        bars = [bar for name, root in made.items() if (bar := timed(name, root, options)) is not None]
        paths = sorted((made["COCO"] / "images").iterdir())
        print(f"contents of {len(paths)} images hashed in {seconds(lambda: content_digests(paths)):.3f} s", flush=True)
    return judge(bars) if options.against is not None else 0


def timed(name: str, root: Path, options: argparse.Namespace) -> Bar | None:
    """Time the reading of one format, in turn with the other code where it is given."""
    sources = [OURS, *([options.against] if options.against is not None else [])]
    rounds = [[read_once(source, root, options.images) for source in sources] for _ in range(options.rounds)]
    spreads = [median_with_range(each) for each in zip(*rounds, strict=True)]
    print(f"{name}: after {spreads[0]}{f', before {spreads[1]}' if len(spreads) > 1 else ''}", flush=True)
    if options.against is None:
        return None
    return Bar(f"time of reading {name}, times that before", statistics.median(a / b for a, b in rounds), at_most=1.2)


def read_once(source: Path, root: Path, images: int) -> float:
    """Seconds of one reading in a new process; ends the script where not all images are read."""
    took, count = output_of(source, READ, root).split()
    if int(count) != images:
        raise SystemExit(f"{source} read {count} of {images} images of {root}")
    return float(took)


def make_data(folder: Path, images: int, annotations: int) -> dict[str, Path]:
    """The same images and boxes in each format, a fifth of them for validation."""
    chance = random.Random(0)
    truth: Annotated = {f"{number:06}.jpg": [] for number in range(images)}
    names = list(truth)
    for number in range(annotations):
        x, y = chance.randrange(WIDTH - 60), chance.randrange(HEIGHT - 60)
        truth[names[number % images]].append((x, y, chance.randrange(8, 60), chance.randrange(8, 60), number % 3))
    parts = {"val": names[: images // 5], "train": names[images // 5 :]}
    picture = io.BytesIO()
    Image.effect_noise((WIDTH, HEIGHT), 40).convert("RGB").save(picture, "JPEG")
    made = {}
    for name, write in (("COCO", write_coco), ("VOC", write_voc), ("YOLO", write_yolo), ("CSV", write_csv)):
        root = made[name] = folder / name
        for image in names:
            path = root / ("JPEGImages" if name == "VOC" else "images") / image
            path.parent.mkdir(parents=True, exist_ok=True)
            # Bytes after the end of a JPEG give each file a size and contents of its own.
            path.write_bytes(picture.getvalue() + image.encode() * (1 + int(path.stem) % 1999))
        write(root, truth, parts)
    return made


def write_coco(root: Path, truth: Annotated, parts: dict[str, list[str]]) -> None:
    (root / "annotations").mkdir()
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(CLASSES)]
    for split, names in parts.items():
        images = [{"id": n, "file_name": name, "width": WIDTH, "height": HEIGHT} for n, name in enumerate(names)]
        boxes = [(n, box) for n, name in enumerate(names) for box in truth[name]]
        annotations = [
            {"id": k, "image_id": n, "category_id": box[4] + 1, "bbox": box[:4], "area": box[2] * box[3], "iscrowd": 0}
            for k, (n, box) in enumerate(boxes)
        ]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / "annotations" / f"{split}.json").write_text(json.dumps(content))


def write_voc(root: Path, truth: Annotated, parts: dict[str, list[str]]) -> None:
    (root / "Annotations").mkdir()
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for split, names in parts.items():
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{Path(name).stem}\n" for name in names))
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    for name, boxes in truth.items():
        objects = "".join(
            f"<object><name>{CLASSES[label]}</name><difficult>0</difficult><bndbox><xmin>{x + 1}</xmin>"
            f"<ymin>{y + 1}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox></object>"
            for x, y, w, h, label in boxes
        )
        xml = f"<annotation><filename>{name}</filename>{size}{objects}</annotation>"
        (root / "Annotations" / f"{Path(name).stem}.xml").write_text(xml)


def write_yolo(root: Path, truth: Annotated, parts: dict[str, list[str]]) -> None:
    (root / "labels").mkdir()
    for split, names in parts.items():
        (root / f"{split}.txt").write_text("".join(f"images/{name}\n" for name in names))
    for name, boxes in truth.items():
        lines = [
            f"{label} {(x + w / 2) / WIDTH:.6f} {(y + h / 2) / HEIGHT:.6f} {w / WIDTH:.6f} {h / HEIGHT:.6f}\n"
            for x, y, w, h, label in boxes
        ]
        (root / "labels" / f"{Path(name).stem}.txt").write_text("".join(lines))
    (root / "data.yaml").write_text(f"train: train.txt\nval: val.txt\nnames: [{', '.join(CLASSES)}]\n")


def write_csv(root: Path, truth: Annotated, parts: dict[str, list[str]]) -> None:
    for split, names in parts.items():
        with (root / f"{split}.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(("image", "xmin", "ymin", "xmax", "ymax", "label"))
            for name in names:
                writer.writerows((name, x, y, x + w, y + h, CLASSES[label]) for x, y, w, h, label in truth[name])


if __name__ == "__main__":
    sys.exit(main())
