"""Writes PASCAL VOC: ``Annotations/``, ``JPEGImages/``, and the lists of the splits in ``ImageSets/Main/``.

Pixels are counted from 1 and corners are integers, as VOC's own are, so that an edge moves by up to half a
pixel, and an object narrower than two pixels becomes that wide.
"""

from __future__ import annotations

from pathlib import Path, PurePath
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from faster_rcnn.data.formats.written import Splits, Writer, WrittenBox, WrittenImage, unused_classes, with_held_names
from faster_rcnn.structures import ClassMap, ImageSize
from faster_rcnn.system.wording import count_of

LEAST = 2
"""Pixels that a side has at least, where the image has as many."""
CORNERS = ("xmin", "ymin", "xmax", "ymax")


def write(root: Path, splits: Splits, classes: ClassMap) -> list[str]:
    """Write an XML for each image and a list for each split."""
    classes, changed = with_held_names(classes, "VOC")
    annotations, lists = root / "Annotations", root / "ImageSets" / "Main"
    annotations.mkdir()
    lists.mkdir(parents=True)
    for split, images in splits.items():
        for image in images:
            tree = ElementTree.ElementTree(annotation(image, classes))
            ElementTree.indent(tree)
            tree.write(annotations / f"{PurePath(image.name).stem}.xml", encoding="utf-8", xml_declaration=True)
        stems = "".join(f"{PurePath(image.name).stem}\n" for image in images)
        (lists / f"{split}.txt").write_text(stems, encoding="utf-8")
    return [*changed, *_moved(splits), *unused_classes(splits, classes, "VOC")]


def annotation(image: WrittenImage, classes: ClassMap) -> Element:
    """The element of an image; ignored boxes are ``difficult``."""
    root = Element("annotation")
    SubElement(root, "folder").text = "JPEGImages"
    SubElement(root, "filename").text = image.name
    size = SubElement(root, "size")
    for name, value in (("width", image.size.width), ("height", image.size.height), ("depth", 3)):
        SubElement(size, name).text = str(value)
    SubElement(root, "segmented").text = "0"
    for box in image.boxes:
        found = SubElement(root, "object")
        SubElement(found, "name").text = classes.name_of(box.label)
        SubElement(found, "pose").text = "Unspecified"
        SubElement(found, "truncated").text = "0"
        SubElement(found, "difficult").text = str(int(box.ignored))
        if box.score is not None:
            SubElement(found, "confidence").text = f"{box.score:.6g}"
        corners = SubElement(found, "bndbox")
        for name, corner in zip(CORNERS, corners_of(box, image.size), strict=True):
            SubElement(corners, name).text = str(corner)
    return root


def corners_of(box: WrittenBox, size: ImageSize) -> tuple[int, int, int, int]:
    """First and last pixel of a box along both axes, counted from 1.

    >>> corners_of(WrittenBox(10.4, 20.0, 5.0, 0.2, label=0), ImageSize(40, 40))
    (11, 21, 15, 22)
    """
    x1, y1, x2, y2 = box.corners
    left, right = _pixels(x1, x2, size.width)
    upper, lower = _pixels(y1, y2, size.height)
    return left, upper, right, lower


def _pixels(start: float, end: float, length: int) -> tuple[int, int]:
    """The numbers of the first and the last pixel; they differ, since readers take an object of one for a slip."""
    first = max(min(round(start), length - LEAST), 0)
    return first + 1, min(max(round(end), first + LEAST), length)


def _moved(splits: Splits) -> list[str]:
    """A line on the largest distance by which rounding moves an edge."""
    boxes = [(box, image.size) for images in splits.values() for image in images for box in image.boxes]
    distances = [
        max(abs(a - b) for a, b in zip(box.corners, (left - 1, upper - 1, right, lower), strict=True))
        for box, size in boxes
        for left, upper, right, lower in [corners_of(box, size)]
    ]
    moved = sum(each > 1e-6 for each in distances)
    if not moved:
        return []
    count = count_of(moved, "box", "boxes")
    return [f"edges of {count} rounded to whole pixels, as VOC has them, by up to {max(distances):.2f} pixels"]


VOC = Writer("VOC XML", lambda _split: "JPEGImages", write)
