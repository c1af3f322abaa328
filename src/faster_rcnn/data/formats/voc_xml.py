"""Reading of one XML file of PASCAL VOC: the name of its picture, its size, its objects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from faster_rcnn.data.layout.listing import Fault, ListedBox
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.text import read_xml_text
from faster_rcnn.parsing.values import as_flag, as_number, cut
from faster_rcnn.structures import ImageSize

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """The content of an XML file."""

    file_name: str
    """The last part of ``<filename>``; empty without one."""
    size: ImageSize | None
    boxes: tuple[ListedBox, ...]
    unclear: tuple[str, ...] = ()
    """Values of ``<difficult>`` that are neither yes nor no."""
    rotated: int = 0
    """Objects whose box encloses a rotated one."""
    repeated: int = 0
    """Objects with several ``<bndbox>``, of which the first is read."""


def read_annotation(source: Path, name: str, offset: int) -> Annotation | Fault:
    """Read an XML file, with ``name`` in messages; a broken or absent file gives its fault.

    Raises:
        DatasetError: the file belongs to another tool (E103).
    """
    try:
        root = ElementTree.fromstring(read_xml_text(source))
    except DatasetError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return Fault("E104", f"{name} does not exist")
        return Fault(error.code or "E102", error.text)
    except ElementTree.ParseError as error:
        line, column = error.position
        return Fault("E102", f"{name} is not valid XML at line {line} column {column + 1}")
    objects = root.findall("object")
    boxes = [item.findall("bndbox") for item in objects]
    _refuse_other_tools(root, objects, any(boxes), source)
    flags = [(item.findtext("difficult") or "").strip() for item in objects]
    return Annotation(
        file_name=(root.findtext("filename") or "").strip().replace("\\", "/").rpartition("/")[2],
        size=_size(root),
        boxes=tuple(
            _box(item, number, found, as_flag(flag) or False, offset)
            for number, (item, found, flag) in enumerate(zip(objects, boxes, flags, strict=True), start=1)
        ),
        unclear=tuple(cut(flag) for flag in flags if as_flag(flag) is None),
        rotated=sum(
            not found and item.find("robndbox") is not None for item, found in zip(objects, boxes, strict=True)
        ),
        repeated=sum(len(found) > 1 for found in boxes),
    )


def _refuse_other_tools(
    root: ElementTree.Element, objects: Sequence[ElementTree.Element], has_boxes: bool, source: Path
) -> None:
    labelme = not has_boxes and any(item.find("polygon") is not None for item in objects)
    if root.tag == "annotation" and not labelme:
        return
    tool = "a LabelMe file with polygons" if labelme else f"XML of another kind (<{cut(root.tag)}>)"
    tool = "a CVAT file" if root.tag == "annotations" else tool
    raise DatasetError(f"{source} is {tool}, not VOC; export it as VOC XML, COCO JSON or YOLO", code="E103")


def _size(tree: ElementTree.Element) -> ImageSize | None:
    """The size that an XML declares; ``None`` without one, since many tools write none, or zeros."""
    try:
        size = ImageSize(*(int(float(tree.findtext(f"size/{side}") or 0)) for side in ("height", "width")))
    except (ValueError, OverflowError):
        return None
    return size if min(size) > 0 else None


def _box(
    item: ElementTree.Element, number: int, boxes: Sequence[ElementTree.Element], ignored: bool, offset: int
) -> ListedBox:
    """The box of an object; boxes of its ``<part>`` elements (head, hand, foot) are not read."""
    name = (item.findtext("name") or "").strip()
    where = f"object {number} ('{cut(name)}')"
    if boxes:
        written: tuple[object, ...] = tuple((boxes[0].findtext(corner) or "").strip() for corner in _CORNERS)
        return ListedBox(where, written, name, ignored)
    rotated = _around_rotated(item, offset)
    if rotated is not None:
        return ListedBox(where, rotated, name, ignored)
    return ListedBox(f"{where}, which has no <bndbox>,", ("",) * 4, name, ignored)


def _around_rotated(item: ElementTree.Element, offset: int) -> tuple[float, ...] | None:
    """Corners around roLabelImg's rotated box (centre, size, angle in radians), counted from ``offset`` as in VOC."""
    found = [as_number(item.findtext(f"robndbox/{part}")) for part in ("cx", "cy", "w", "h", "angle")]
    numbers = [number for number in found if number is not None]
    if len(numbers) < len(found):
        return None
    cx, cy, width, height, angle = numbers
    cosine, sine = abs(math.cos(angle)), abs(math.sin(angle))
    half_width, half_height = (width * cosine + height * sine) / 2, (width * sine + height * cosine) / 2
    return cx - half_width + offset, cy - half_height + offset, cx + half_width, cy + half_height
