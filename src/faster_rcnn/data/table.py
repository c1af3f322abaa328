"""CSV: one row per box, ``image,xmin,ymin,xmax,ymax,label`` with a header; corners in pixels, counted from 0.

Other common names of the columns are understood. A row with an image and nothing else is an image without objects.
"""

from __future__ import annotations

import csv
from pathlib import Path

from faster_rcnn.data.folders import Folders, child, files_of, first_of, image_root
from faster_rcnn.data.listing import ListedBox, ListedImage, Listing, split_of
from faster_rcnn.errors import DatasetError
from faster_rcnn.structures import ImageSize

FORMAT = "CSV"
_NAMES = {
    "image": ("image", "filename", "file_name", "file", "path", "image_path", "image_name", "img"),
    "xmin": ("xmin", "x_min", "x1", "left"),
    "ymin": ("ymin", "y_min", "y1", "top"),
    "xmax": ("xmax", "x_max", "x2", "right"),
    "ymax": ("ymax", "y_max", "y2", "bottom"),
    "label": ("label", "class", "name", "class_name", "category"),
}
_SIZE = {"width": ("width", "image_width", "img_width"), "height": ("height", "image_height", "img_height")}
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def find_splits(root: Path) -> dict[str, Path]:
    """CSV files by split; one alone is the training split.

    Raises:
        DatasetError: several files look like one split (E101).
    """
    files = files_of(root, ".csv")
    if len(files) == 1:
        return {split_of(files[0].stem) or "train": files[0]}
    found: dict[str, Path] = {}
    for file in files:
        split = split_of(file.stem)
        if split in found:
            raise DatasetError(
                f"{found[split].name} and {file.name} in {root} both look like the {split} split; "
                f"choose one: --set data.{split}=FILE",
                code="E101",
            )
        if split is not None:
            found[split] = file
    return found


def read(source: Path, split: str, images: Path | None, folders: Folders) -> Listing:
    """Read one file.

    Raises:
        DatasetError: it has no header that is known (E103).
    """
    try:
        lines = source.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{source} is not text in UTF-8 (byte {error.start})", code="E102") from error
    rows = csv.reader(lines, delimiter=_delimiter(lines))
    columns = _columns(next(rows, []), source)
    sizes: dict[str, ImageSize | None] = {}
    boxes: dict[str, list[ListedBox]] = {}
    for row in rows:
        cells = {name: row[place].strip() if place < len(row) else "" for name, place in columns.items()}
        if not cells["image"]:
            continue
        sizes.setdefault(cells["image"], _size(cells))
        found = boxes.setdefault(cells["image"], [])
        if any(cells[name] for name in (*_CORNERS, "label")):
            written = tuple(cells[corner] for corner in _CORNERS)
            found.append(ListedBox(f"line {rows.line_num}", written, cells["label"]))
    names = sorted(boxes)
    root = image_root(names, [images] if images is not None else _image_folders(source), folders)
    listed = tuple(
        ListedImage(name, root / name, number, sizes[name], tuple(boxes[name]), source.name)
        for number, name in enumerate(names, start=1)
    )
    return Listing(FORMAT, split, source, listed, "xyxy")


def _image_folders(source: Path) -> list[Path]:
    here, up = source.parent, source.parent.parent
    found = [child(here, "images", "img", "JPEGImages"), here, child(up, "images"), up]
    return [folder for folder in found if folder is not None]


def _delimiter(lines: list[str]) -> str:
    header = lines[0] if lines else ""
    return max((",", ";", "\t"), key=header.count)


def _columns(header: list[str], source: Path) -> dict[str, int]:
    """Place of each column that is known; complains about what a header lacks."""
    places = {name.strip().lower(): place for place, name in reversed(list(enumerate(header)))}
    columns: dict[str, int] = {}
    for name, synonyms in {**_NAMES, **_SIZE}.items():
        place = next((places[synonym] for synonym in synonyms if synonym in places), None)
        if place is not None:
            columns[name] = place
    lacking = [name for name in _NAMES if name not in columns]
    if not lacking:
        return columns
    kind = ""
    if {"imageid", "labelname"} <= places.keys():
        kind = "it is an Open Images file, whose numbers are shares of the image; "
    elif len(lacking) == len(_NAMES):
        kind = "its first line is no header; "
    raise DatasetError(
        f"{source} lacks the columns {', '.join(lacking)}: {kind}the header must be image,xmin,ymin,xmax,ymax,label "
        f"with corners in pixels (found: {first_of(header, 8) or 'nothing'})",
        code="E103",
    )


def _size(cells: dict[str, str]) -> ImageSize | None:
    if cells.get("width", "").isdecimal() and cells.get("height", "").isdecimal():
        size = ImageSize(int(cells["height"]), int(cells["width"]))
        return size if min(size) > 0 else None
    return None
