"""CSV: one row per box, ``image,xmin,ymin,xmax,ymax,label`` with a header; corners in pixels, counted from 0.

Other common names of the columns are recognised. A row with an image and otherwise empty cells is an image without
objects.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from faster_rcnn.data.formats.decimal_commas import commas_note, decimal_commas, with_point
from faster_rcnn.data.formats.table_text import Row, has_known_header, is_without_header, read_table
from faster_rcnn.data.layout.folders import Folders, entries_of, files_of
from faster_rcnn.data.layout.image_folders import Source, find_images
from faster_rcnn.data.layout.listing import Fault, ListedBox, ListedImage, Listing, by_split, several_files, split_of
from faster_rcnn.data.layout.names import Located
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.values import as_number, first_of
from faster_rcnn.structures import ImageSize

FORMAT = "CSV"


def find_splits(root: Path) -> dict[str, Path]:
    """CSV files by split, also those in folders of splits; a split with several files has the folder ``root`` instead.

    A file without a split in its name is the training split if no other file has the columns of boxes.
    """
    return {split: files[0] if len(files) == 1 else root for split, files in candidates(root).items()}


def candidates(root: Path) -> dict[str, list[Path]]:
    """The possible files of each split."""
    top = files_of(root, ".csv")
    named = by_split((split_of(file.stem), file) for file in top)
    if named:
        return named
    tables = [file for file in top if has_known_header(file)]
    if tables:
        return {"train": tables} if len(tables) == 1 else {}
    in_folders = [(split, file) for entry in entries_of(root) if (split := split_of(entry.name)) for file in _in(entry)]
    return by_split(in_folders)


def find_files(files: Sequence[Path]) -> dict[str, Path]:
    """The training split among files that have no split in their names.

    Raises:
        DatasetError: no file has the header of boxes (E103), or several files have it (E101).
    """
    tables = [file for file in files if has_known_header(file)]
    if not tables:
        read_table(files[0])
    if len(tables) > 1:
        raise DatasetError(
            f"{files[0].parent} holds {len(tables)} CSV files of boxes whose names contain no split "
            f"({first_of(file.name for file in tables)}); name them: --set data.train=FILE --set data.val=FILE",
            code="E101",
        )
    return {"train": (tables or list(files))[0]}


def unused(root: Path, used: Iterable[Path]) -> list[str]:
    """A line about CSV files of a data set that are no split."""
    rest = [file.name for file in files_of(root, ".csv") if file not in set(used)]
    return [f"CSV files that are not read as annotations: {len(rest)} ({first_of(rest)})"] if rest else []


def _in(folder: Path) -> list[Path]:
    """Tables of boxes in a folder; else tables without a header, so that the missing header is reported."""
    files = files_of(folder, ".csv")
    return [file for file in files if has_known_header(file)] or [file for file in files if is_without_header(file)]


def read(source: Path, split: str, images: Path | None, folders: Folders, root: Path) -> Listing:
    """Read one file of the data set in ``root``.

    Raises:
        DatasetError: several files may be the split (E101), the file is not text (E102), its header is not known or a
            row does not fit it (E103), several folders may hold the images (E104).
    """
    if source.is_dir():
        raise several_files(candidates(source)[split], source, split)
    table = read_table(source)
    rows, notes = _with_decimal_points(table.rows)
    _refuse_rows_without_image(rows, source)
    rows_of: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        rows_of[row.image].append(row)
    names = sorted(rows_of)
    found = find_images(names, Source(source, split, root, images), folders)
    pictures = _pictures(names, found.located, folders)
    several = [" = ".join(picture.names) for picture in pictures if len(picture.names) > 1]
    notes += [f"images with several names in the rows, joined: {first_of(several)}"] if several else []
    notes += [f"columns that are not used: {first_of(table.unused, 10)}"] if table.unused else []
    return Listing(
        format=FORMAT,
        split=split,
        source=source,
        images=tuple(
            _image(picture, [row for name in picture.names for row in rows_of[name]], number, source.name)
            for number, picture in enumerate(pictures, start=1)
        ),
        notation="xyxy",
        notes=(*(f"{source.name}: {note}" for note in notes), *found.located.notes),
        advice=found.advice,
    )


class _Picture(NamedTuple):
    """An image with all names that rows have for it."""

    names: tuple[str, ...]
    path: Path
    fault: Fault | None


def _pictures(names: Sequence[str], located: Located, folders: Folders) -> list[_Picture]:
    """Images in the order of their first names; ``./a.jpg`` and ``a.jpg`` are one image where the file exists."""
    found: dict[str, _Picture] = {}
    for name, path, fault in zip(names, located.paths, located.faults, strict=True):
        key = f"{name}/"
        if fault is None and folders.has(path):
            key = os.path.normpath(path) if ".." in name else str(path)
        before = found.get(key)
        found[key] = _Picture((name,), path, fault) if before is None else before._replace(names=(*before.names, name))
    return list(found.values())


def _image(picture: _Picture, rows: Sequence[Row], number: int, annotation: str) -> ListedImage:
    sizes = list(dict.fromkeys(size for row in rows if (size := _size(row)) is not None))
    fault = picture.fault
    if fault is None and len(sizes) > 1:
        both = " and ".join(f"{size.width}x{size.height}" for size in sizes[:2])
        fault = Fault("E106", f"rows of {annotation} about {picture.names[0]} give it the sizes {both}")
    boxes = tuple(
        ListedBox(f"line {row.line}", row.corners, row.label) for row in sorted(rows) if row.label or any(row.corners)
    )
    size = sizes[0] if sizes else None
    return ListedImage(picture.names[0], picture.path, number, size, boxes, annotation, fault)


def _size(row: Row) -> ImageSize | None:
    """The size in a row; ``None`` where it is no pair of positive integers."""
    if not row.size:
        return None
    height, width = map(as_number, row.size)
    if not (height and width and height > 0 and width > 0 and height.is_integer() and width.is_integer()):
        return None
    return ImageSize(int(height), int(width))


def _refuse_rows_without_image(rows: Sequence[Row], source: Path) -> None:
    without = [row.line for row in rows if not row.image]
    if without:
        raise DatasetError(
            f"{source}: {len(without)} rows name no image: line {first_of(without)}; give each the name of its image",
            code="E103",
        )


def _with_decimal_points(rows: Sequence[Row]) -> tuple[Sequence[Row], list[str]]:
    """The rows with ``10,5`` read as 10.5, and a note about such numbers."""
    commas = decimal_commas(cell for row in rows for cell in row.corners)
    if not commas:
        return rows, []
    return [row._replace(corners=tuple(map(with_point, row.corners))) for row in rows], [commas_note(commas)]
