"""Faults that are made in small copies of real data sets, one each, with what ``check`` has to find."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from faster_rcnn.data.reading import load_dataset
from faster_rcnn.data.records import Dataset, Split
from faster_rcnn.settings.schema import DataConfig

Loses = Literal["nothing", "box", "image", "two images"]
IMAGES = {"train": 6, "val": 3}


@dataclass(frozen=True, slots=True)
class Mutation:
    """One fault."""

    name: str
    data: str
    format: str
    change: Callable[[Path], str]
    """Makes the fault in a folder and returns what the place of the finding has to contain."""
    kind: str
    loses: Loses = "nothing"
    """Sound boxes that are lost with the fault, at most."""
    count: int = 1
    """Number of findings."""

    def __str__(self) -> str:
        return self.name


def few_images(data: Path) -> Dataset:
    """A few images of a data set; every class of val is one of train."""
    whole = load_dataset(data, DataConfig(), ("train", "val"))
    train = _first(whole.splits["train"], IMAGES["train"], range(len(whole.classes)))
    known = {label for record in train.records for label in record.truth.labels.tolist()}
    val = _first(whole.splits["val"], IMAGES["val"], known)
    return replace(whole, splits={"train": train, "val": val})


def _first(split: Split, count: int, known: Any) -> Split:
    """The first images with two objects or more, all of them of known classes and none of them ignored."""
    records = [
        record
        for record in split.records
        if len(record.truth.labels) > 1
        and not record.truth.ignored.any()
        and set(record.truth.labels.tolist()) <= set(known)
    ]
    return replace(split, records=tuple(records[:count]))


@contextmanager
def edited(folder: Path, split: str = "train") -> Iterator[dict[str, Any]]:
    """The content of a COCO file, which is written when the block ends."""
    file = folder / "annotations" / f"{split}.json"
    content = json.loads(file.read_text())
    yield content
    file.write_text(json.dumps(content))


def image_of(folder: Path, index: int = 1) -> Path:
    """An image of train of a COCO folder."""
    content = json.loads((folder / "annotations" / "train.json").read_text())
    return folder / "images" / "train" / str(content["images"][index]["file_name"])


# Files and images ----------------------------------------------------------------------------------------------------


def truncated(folder: Path) -> str:
    path = image_of(folder)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path.name


def emptied(folder: Path) -> str:
    image_of(folder).write_bytes(b"")
    return image_of(folder).name


def text_for_image(folder: Path) -> str:
    image_of(folder).write_text("404 not found")
    return image_of(folder).name


def zeroed(folder: Path) -> str:
    path = image_of(folder)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 3000] = bytes(3000)
    path.write_bytes(content)
    return path.name


def removed(folder: Path) -> str:
    name = image_of(folder).name
    image_of(folder).unlink()
    return name


def other_case(folder: Path) -> str:
    path = image_of(folder)
    path.rename(path.with_suffix(".JPG"))
    return path.name


def png_named_jpg(folder: Path) -> str:
    path = image_of(folder)
    with Image.open(path) as image:
        image.save(path, "PNG")
    return path.name


def _tagged(folder: Path, orientation: int) -> Path:
    path = image_of(folder)
    with Image.open(path) as image:
        exif = image.getexif()
        exif[0x0112] = orientation
        image.save(path, "JPEG", exif=exif, quality="keep")
    return path


def upside_down(folder: Path) -> str:
    return _tagged(folder, 3).name


def turned(folder: Path) -> str:
    return _tagged(folder, 6).name


def cmyk(folder: Path) -> str:
    path = image_of(folder)
    with Image.open(path) as image:
        image.convert("CMYK").save(path, "JPEG")
    return path.name


def _replaced(folder: Path, ending: str) -> tuple[Path, np.ndarray[Any, Any]]:
    """Remove an image and list it with another ending; returns its new path and its grey values."""
    path = image_of(folder)
    with Image.open(path) as image:
        grey = np.asarray(image.convert("L"))
    path.unlink()
    with edited(folder) as content:
        content["images"][1]["file_name"] = f"{path.stem}{ending}"
    return path.with_suffix(ending), grey


def sixteen_bits(folder: Path) -> str:
    path, grey = _replaced(folder, ".png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(path)
    return path.name


def floats(folder: Path) -> str:
    path, grey = _replaced(folder, ".tif")
    Image.fromarray(grey.astype(np.float32) / 255).save(path)
    return path.name


def other_size(folder: Path) -> str:
    with edited(folder) as content:
        content["images"][1]["width"] *= 2
        return str(content["images"][1]["file_name"])


def listed_twice(folder: Path) -> str:
    with edited(folder) as content:
        first = content["images"][1]
        content["images"].append({**first, "id": 999_999})
        own = [entry for entry in content["annotations"] if entry["image_id"] == first["id"]]
        own[0]["image_id"] = 999_999
        return str(first["file_name"])


# Boxes ---------------------------------------------------------------------------------------------------------------


def _all_boxes(folder: Path, change: Callable[[list[float], dict[str, Any]], list[float]]) -> str:
    with edited(folder) as content:
        images = {entry["id"]: entry for entry in content["images"]}
        for entry in content["annotations"]:
            entry["bbox"] = change(entry["bbox"], images[entry["image_id"]])
    return "train"


def as_corners(folder: Path) -> str:
    return _all_boxes(folder, lambda box, _: [box[0], box[1], box[0] + box[2], box[1] + box[3]])


def _in_shares(box: list[float], image: dict[str, Any]) -> list[float]:
    return [value / image[side] for value, side in zip(box, ("width", "height") * 2, strict=True)]


def as_shares(folder: Path) -> str:
    return _all_boxes(folder, _in_shares)


def as_centres(folder: Path) -> str:
    return _all_boxes(folder, lambda box, _: [box[0] + box[2] / 2, box[1] + box[3] / 2, box[2], box[3]])


def _one_box(folder: Path, change: Callable[[list[float], dict[str, Any]], object]) -> str:
    with edited(folder) as content:
        image = content["images"][1]
        entry = next(each for each in content["annotations"] if each["image_id"] == image["id"])
        entry["bbox"] = change(entry["bbox"], image)
        return f"{image['file_name']} train.json annotation id {entry['id']}"


def negative_width(folder: Path) -> str:
    return _one_box(folder, lambda box, _: [box[0] + box[2], box[1], -box[2], box[3]])


def one_in_shares(folder: Path) -> str:
    return _one_box(folder, _in_shares)


def flat(folder: Path) -> str:
    return _one_box(folder, lambda box, _: [box[0], box[1], 0, box[3]])


def outside(folder: Path) -> str:
    return _one_box(folder, lambda box, image: [image["width"] + 30, box[1], box[2], box[3]])


def beyond(folder: Path) -> str:
    return _one_box(folder, lambda box, image: [box[0], box[1], image["width"], box[3]])


def not_a_number(folder: Path) -> str:
    return _one_box(folder, lambda box, _: [box[0], None, box[2], box[3]])


def three_numbers(folder: Path) -> str:
    return _one_box(folder, lambda box, _: box[:3])


def box_twice(folder: Path) -> str:
    with edited(folder) as content:
        first = content["annotations"][0]
        content["annotations"].append({**first, "id": 777_777})
    return "annotation id 777777"


def _xml(folder: Path, index: int = 1) -> Path:
    stem = (folder / "ImageSets" / "Main" / "train.txt").read_text().split()[index]
    return folder / "Annotations" / f"{stem}.xml"


def _edit(path: Path, pattern: str, new: Any, count: int = 0) -> None:
    path.write_text(re.sub(pattern, new, path.read_text(), count=count, flags=re.DOTALL))


BOX = r"<xmin>(\d+)</xmin>\s*<ymin>(\d+)</ymin>\s*<xmax>(\d+)</xmax>\s*<ymax>(\d+)</ymax>"


def _corners(x1: int, y1: int, x2: int, y2: int) -> str:
    return f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"


def voc_sizes(folder: Path) -> str:
    def sizes(found: re.Match[str]) -> str:
        x1, y1, x2, y2 = map(int, found.groups())
        return _corners(x1 - 1, y1 - 1, x2 - x1 + 1, y2 - y1 + 1)

    for stem in (folder / "ImageSets" / "Main" / "train.txt").read_text().split():
        _edit(folder / "Annotations" / f"{stem}.xml", BOX, sizes)
    return "train"


def _one_voc_box(folder: Path, change: Callable[[int, int, int, int], tuple[int, int, int, int]]) -> str:
    _edit(_xml(folder), BOX, lambda found: _corners(*change(*map(int, found.groups()))), 1)
    return f"Annotations/{_xml(folder).name} object 1"


def voc_swapped(folder: Path) -> str:
    return _one_voc_box(folder, lambda x1, y1, x2, y2: (x2, y1, x1, y2))


def voc_one_pixel(folder: Path) -> str:
    return _one_voc_box(folder, lambda x1, y1, x2, y2: (x1, y1, x1, y2))


def voc_without_name(folder: Path) -> str:
    _edit(_xml(folder), "<name>.*?</name>", "<name></name>", 1)
    return f"Annotations/{_xml(folder).name} object 1"


def voc_broken(folder: Path) -> str:
    _xml(folder).write_text(_xml(folder).read_text()[:-30])
    return _xml(folder).stem


def voc_without_xml(folder: Path) -> str:
    stem = _xml(folder).stem
    _xml(folder).unlink()
    return stem


def _labels(folder: Path) -> list[Path]:
    return sorted((folder / "labels" / "train").glob("*.txt"))


def _lines(path: Path, change: Callable[[list[float], tuple[int, int]], list[float]]) -> None:
    image = next((path.parents[2] / "images" / "train").glob(f"{path.stem}.*"))
    with Image.open(image) as opened:
        size = opened.size
    lines = []
    for line in path.read_text().splitlines():
        label, *values = line.split()
        numbers = change([float(value) for value in values], size)
        lines.append(" ".join([label, *(f"{value:.9g}" for value in numbers)]))
    path.write_text("\n".join(lines) + "\n")


def yolo_pixels(folder: Path) -> str:
    for path in _labels(folder):
        _lines(path, lambda box, size: [value * side for value, side in zip(box, size * 2, strict=True)])
    return "train"


def yolo_corners(folder: Path) -> str:
    for path in _labels(folder):
        _lines(
            path, lambda box, _: [box[0] - box[2] / 2, box[1] - box[3] / 2, box[0] + box[2] / 2, box[1] + box[3] / 2]
        )
    return "train"


def yolo_unknown_class(folder: Path) -> str:
    path = _labels(folder)[1]
    path.write_text(re.sub(r"^\d+", "88", path.read_text()))
    return f"labels/train/{path.name} line 1"


def csv_rows_first(folder: Path) -> str:
    path = folder / "train.csv"
    header, *rows = path.read_text().splitlines()
    parts = [row.split(",") for row in rows]
    path.write_text("\n".join([header, *(",".join([p[0], p[2], p[1], p[4], p[3], *p[5:]]) for p in parts)]) + "\n")
    return "train"


# Ids and classes -----------------------------------------------------------------------------------------------------


def undeclared(folder: Path) -> str:
    with edited(folder) as content:
        content["annotations"][0]["category_id"] = 404
        return f"annotation id {content['annotations'][0]['id']}"


def declared_twice(folder: Path) -> str:
    for split in IMAGES:
        with edited(folder, split) as content:
            first = content["categories"][0]
            content["categories"].append({**first, "id": 500})
            own = [entry for entry in content["annotations"] if entry["category_id"] == first["id"]]
            for entry in own[::2]:
                entry["category_id"] = 500
    return "class '"


def voc_other_case(folder: Path) -> str:
    path = _xml(folder)
    _edit(path, "<name>(.*?)</name>", lambda found: f"<name>{found[1].swapcase()}</name>", 1)
    return "class '"


def with_blanks(folder: Path) -> str:
    with edited(folder, "val") as content:
        content["categories"][0]["name"] += " "
    return "class '"


def other_ids(folder: Path) -> str:
    with edited(folder, "val") as content:
        first, second = (entry["id"] for entry in content["categories"][:2])
        other = {first: second, second: first}
        for entry in content["categories"]:
            entry["id"] = other.get(entry["id"], entry["id"])
        for entry in content["annotations"]:
            entry["category_id"] = other.get(entry["category_id"], entry["category_id"])
    return "val class '"


def one_split(folder: Path) -> str:
    with edited(folder) as content:
        content["categories"].append({"id": 600, "name": "unicorn"})
    return "val class 'unicorn'"


def voc_one_split(folder: Path) -> str:
    stem = (folder / "ImageSets" / "Main" / "val.txt").read_text().split()[0]
    _edit(folder / "Annotations" / f"{stem}.xml", "<name>.*?</name>", "<name>unicorn</name>", 1)
    return "train class 'unicorn'"


def background(folder: Path) -> str:
    for split in IMAGES:
        with edited(folder, split) as content:
            content["categories"].append({"id": 700, "name": "background"})
            if split == "train":
                content["annotations"][0]["category_id"] = 700
    return "class 'background'"


def image_id_twice(folder: Path) -> str:
    with edited(folder) as content:
        first, second = content["images"][1:3]
        for entry in content["annotations"]:
            entry["image_id"] = first["id"] if entry["image_id"] == second["id"] else entry["image_id"]
        second["id"] = first["id"]
        return f"train.json image id {content['images'][1]['id']}"


def annotation_id_twice(folder: Path) -> str:
    with edited(folder) as content:
        content["annotations"][1]["id"] = content["annotations"][0]["id"]
        return f"train.json annotation id {content['annotations'][0]['id']}"


def orphan(folder: Path) -> str:
    with edited(folder) as content:
        content["annotations"].append({**content["annotations"][0], "id": 888_888, "image_id": 123_456})
    return "train.json annotation id 888888"


# Copies --------------------------------------------------------------------------------------------------------------


def _copied(folder: Path, source: str, name: str) -> tuple[Path, Path, dict[str, Any]]:
    """List a copy of an image of another split, or of train itself, in train; returns both paths and the new entry."""
    with edited(folder, source) as content:
        entry = content["images"][0]
        own = [each for each in content["annotations"] if each["image_id"] == entry["id"]]
    with edited(folder) as content:
        made = {**entry, "id": 555_555, "file_name": name}
        content["images"].append(made)
        content["annotations"] += [{**each, "id": 600_000 + n, "image_id": 555_555} for n, each in enumerate(own)]
    return folder / "images" / source / str(entry["file_name"]), folder / "images" / "train" / name, made


def copied_within(folder: Path) -> str:
    source, target, _ = _copied(folder, "train", "zz_copy.jpg")
    shutil.copyfile(source, target)
    return "train zz_copy.jpg"


def copied_across(folder: Path) -> str:
    source, target, _ = _copied(folder, "val", "zz_copy.jpg")
    shutil.copyfile(source, target)
    return "train zz_copy.jpg"


def saved_again_across(folder: Path) -> str:
    source, target, _ = _copied(folder, "val", "zz_copy.jpg")
    with Image.open(source) as image:
        image.point(lambda value: min(255, value + 8)).save(target, quality=60)
    return "train zz_copy.jpg"


MUTATIONS = (
    Mutation("truncated", "bccd", "coco", truncated, "image.damaged", "image"),
    Mutation("zeros in the middle", "bccd", "coco", zeroed, "image.damaged", "image"),
    Mutation("empty file", "bccd", "coco", emptied, "image.undecodable", "image"),
    Mutation("text for an image", "voc100", "coco", text_for_image, "image.undecodable", "image"),
    Mutation("image removed", "voc100", "coco", removed, "image.missing", "image"),
    Mutation("ending in other case", "bccd", "coco", other_case, "image.missing", "image"),
    Mutation("PNG named JPEG", "voc100", "coco", png_named_jpg, "image.type"),
    Mutation("upside down", "voc100", "coco", upside_down, "image.orientation"),
    Mutation("turned, boxes on stored pixels", "bccd", "coco", turned, "image.turned-boxes"),
    Mutation("CMYK", "bccd", "coco", cmyk, "image.channels"),
    Mutation("16 bits", "voc100", "coco", sixteen_bits, "image.channels"),
    Mutation("floats", "bccd", "coco", floats, "image.values", "image"),
    Mutation("size of another version", "voc100", "coco", other_size, "image.size-differs", "image"),
    Mutation("listed twice", "bccd", "coco", listed_twice, "image.listed-twice"),
    Mutation("broken XML", "bccd", "voc", voc_broken, "image.labels-unreadable", "image"),
    Mutation("XML removed", "voc100", "voc", voc_without_xml, "image.labels-unreadable", "image"),
    Mutation("COCO as corners", "bccd", "coco", as_corners, "box.format"),
    Mutation("COCO in shares", "voc100", "coco", as_shares, "box.format"),
    Mutation("COCO by centres", "bccd", "coco", as_centres, "box.format"),
    Mutation("VOC with sizes", "bccd", "voc", voc_sizes, "box.format"),
    Mutation("YOLO in pixels", "voc100", "yolo", yolo_pixels, "box.format"),
    Mutation("YOLO as corners", "bccd", "yolo", yolo_corners, "box.format"),
    Mutation("CSV with rows first", "bccd", "csv", csv_rows_first, "box.format"),
    Mutation("swapped edges", "voc100", "voc", voc_swapped, "box.swapped"),
    Mutation("negative width", "bccd", "coco", negative_width, "box.swapped"),
    Mutation("one box in shares", "voc100", "coco", one_in_shares, "box.normalised"),
    Mutation("no width", "bccd", "coco", flat, "box.flat", "box"),
    Mutation("VOC of one pixel", "bccd", "voc", voc_one_pixel, "box.flat", "box"),
    Mutation("outside", "voc100", "coco", outside, "box.outside", "box"),
    Mutation("beyond the edge", "bccd", "coco", beyond, "box.beyond", "box"),
    Mutation("no number", "voc100", "coco", not_a_number, "box.numbers", "box"),
    Mutation("three numbers", "bccd", "coco", three_numbers, "box.numbers", "box"),
    Mutation("box twice", "voc100", "coco", box_twice, "box.duplicate"),
    Mutation("no class name", "bccd", "voc", voc_without_name, "box.no-class", "box"),
    Mutation("undeclared class", "bccd", "coco", undeclared, "class.undeclared", "box"),
    Mutation("unknown YOLO class", "voc100", "yolo", yolo_unknown_class, "class.undeclared", "box"),
    Mutation("class declared twice", "bccd", "coco", declared_twice, "class.name-twice", count=2),
    Mutation("class in other case", "bccd", "voc", voc_other_case, "class.spelling"),
    Mutation("class with blanks", "voc100", "coco", with_blanks, "class.spelling"),
    Mutation("other ids in val", "voc100", "coco", other_ids, "class.ids-differ", count=2),
    Mutation("class of one split", "voc100", "coco", one_split, "class.one-split"),
    Mutation("VOC class of val alone", "bccd", "voc", voc_one_split, "class.one-split", "box"),
    Mutation("background", "bccd", "coco", background, "class.background", "box"),
    Mutation("image id twice", "voc100", "coco", image_id_twice, "id.image-twice", "two images"),
    Mutation("annotation id twice", "bccd", "coco", annotation_id_twice, "id.annotation-twice"),
    Mutation("annotation of no image", "voc100", "coco", orphan, "id.orphan"),
    Mutation("copy within train", "bccd", "coco", copied_within, "duplicate.within"),
    Mutation("copy across splits", "voc100", "coco", copied_across, "duplicate.across"),
    Mutation("saved again across splits", "voc100", "coco", saved_again_across, "duplicate.near-across"),
)
