"""One XML file of PASCAL VOC: the picture that it names, its size, its objects."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from faster_rcnn.data.listing import ListedBox
from faster_rcnn.errors import DatasetError
from faster_rcnn.structures import ImageSize
from faster_rcnn.text import read_xml_text
from faster_rcnn.values import as_flag, as_number

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """What an XML says."""

    file_name: str
    """The last part of ``<filename>``; empty where there is none."""
    size: ImageSize | None
    boxes: tuple[ListedBox, ...]
    unclear: tuple[str, ...] = ()
    """Values of ``<difficult>`` that are neither yes nor no."""
    rotated: int = 0
    """Objects whose box encloses a rotated one."""
    repeated: int = 0
    """Objects with several ``<bndbox>``, of which the first is read."""


def read_annotation(source: Path, offset: int) -> Annotation | str:
    """Read an XML; where it is broken or absent, the fault with its code.

    Raises:
        DatasetError: it is another tool's (E103).
    """
    name = f"{source.parent.name}/{source.name}"
    if not source.exists():
        return f"E104 {name} does not exist"
    try:
        root = ElementTree.fromstring(read_xml_text(source))
    except DatasetError as error:
        return str(error)
    except ElementTree.ParseError as error:
        line, column = error.position
        return f"E102 {name} is not valid XML at line {line} column {column + 1}"
    _refuse_other_tools(root, source)
    objects = root.findall("object")
    boxes = tuple(_box(item, number, offset) for number, item in enumerate(objects, start=1))
    return Annotation(
        file_name=(root.findtext("filename") or "").strip().replace("\\", "/").rpartition("/")[2],
        size=_size(root),
        boxes=boxes,
        unclear=tuple(text for item in objects if as_flag(text := _flag(item)) is None),
        rotated=sum(_has_rotated_box_only(item) for item in objects),
        repeated=sum(len(item.findall("bndbox")) > 1 for item in objects),
    )


def _refuse_other_tools(root: ElementTree.Element, source: Path) -> None:
    drawn = root.findall("object")
    labelme = any(item.find("polygon") is not None for item in drawn) and all(
        item.find("bndbox") is None for item in drawn
    )
    if root.tag == "annotation" and not labelme:
        return
    tool = "a LabelMe file with polygons" if labelme else f"XML of another kind (<{root.tag}>)"
    tool = "a CVAT file" if root.tag == "annotations" else tool
    raise DatasetError(f"{source} is {tool}, not VOC; export it as VOC XML, COCO JSON or YOLO", code="E103")


def _size(tree: ElementTree.Element) -> ImageSize | None:
    """The size it claims; many tools write none, or zeros."""
    try:
        size = ImageSize(*(int(float(tree.findtext(f"size/{side}") or 0)) for side in ("height", "width")))
    except (ValueError, OverflowError):
        return None
    return size if min(size) > 0 else None


def _box(item: ElementTree.Element, number: int, offset: int) -> ListedBox:
    """The box of an object; the ``<part>`` of a person has a box of its own, which is none of ours."""
    name = (item.findtext("name") or "").strip()
    where = f"object {number} ('{name}')"
    written: tuple[object, ...] = tuple((item.findtext(f"bndbox/{corner}") or "").strip() for corner in _CORNERS)
    if item.find("bndbox") is None:
        rotated = _around_rotated(item, offset)
        where, written = (where, rotated) if rotated is not None else (f"{where}, which has no <bndbox>,", written)
    return ListedBox(where, written, name, as_flag(_flag(item)) or False)


def _flag(item: ElementTree.Element) -> str:
    return (item.findtext("difficult") or "").strip()


def _has_rotated_box_only(item: ElementTree.Element) -> bool:
    return item.find("bndbox") is None and item.find("robndbox") is not None


def _around_rotated(item: ElementTree.Element, offset: int) -> tuple[float, ...] | None:
    """Corners around roLabelImg's rotated box (centre, size, angle in radians), counted as the other files' pixels."""
    found = [as_number(item.findtext(f"robndbox/{part}")) for part in ("cx", "cy", "w", "h", "angle")]
    numbers = [number for number in found if number is not None]
    if len(numbers) < len(found):
        return None
    cx, cy, width, height, angle = numbers
    cosine, sine = abs(math.cos(angle)), abs(math.sin(angle))
    half_width, half_height = (width * cosine + height * sine) / 2, (width * sine + height * cosine) / 2
    return cx - half_width + offset, cy - half_height + offset, cx + half_width, cy + half_height
