"""Parsing of a CSV: its delimiter, its header, and rows with as many cells as the header."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from faster_rcnn.data.layout.listing import SPLITS
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.text import read_text
from faster_rcnn.parsing.values import as_number, first_of
from faster_rcnn.system.files import open_file

COLUMNS = {
    "image": ("image", "filename", "file_name", "file", "path", "file_path", "image_path", "image_name", "img"),
    "xmin": ("xmin", "x_min", "x1", "left"),
    "ymin": ("ymin", "y_min", "y1", "top"),
    "xmax": ("xmax", "x_max", "x2", "right"),
    "ymax": ("ymax", "y_max", "y2", "bottom"),
    "label": ("label", "class", "name", "class_name", "category", "label_name", "class_label"),
}
"""Columns that a table must have, with their possible names in order of preference."""
_SIZE = {"width": ("width", "image_width", "img_width"), "height": ("height", "image_height", "img_height")}
_SPLIT_COLUMNS = ("split", "subset", "set", "partition", "usage", "phase", "dataset")
_DELIMITERS = (",", ";", "\t", "|")
_HEAD = 65536
"""Bytes at the start of a file in which the header is searched."""


class Row(NamedTuple):
    """The cells of a row as they are written; without columns for it the size is empty."""

    line: int
    image: str
    corners: tuple[str, ...]
    """The cells of xmin, ymin, xmax and ymax."""
    label: str
    size: tuple[str, ...] = ()
    """The cells of height and width."""


class Table(NamedTuple):
    """The rows of a CSV that are not empty, and its unused columns."""

    rows: tuple[Row, ...]
    unused: tuple[str, ...]
    """Names in the header of columns without a known meaning."""


def read_table(source: Path) -> Table:
    """Read the rows of a CSV.

    Raises:
        DatasetError: the file is not text, or a quotation mark is not closed (E102); its header lacks a column or has
            it twice, or a row has more or fewer cells than the header (E103).
    """
    text = read_text(source)
    delimiter, skipped = _delimiter(text)
    rows = _rows(text, delimiter, source)
    numbered = [(line, cells) for line, cells in rows if line > skipped and any(cells)]
    header = _trimmed(numbered[0][1], 0) if numbered else []
    columns = _columns(header, source)
    length = len(header)
    sized = [(line, cells if len(cells) == length else _trimmed(cells, length)) for line, cells in numbered[1:]]
    _refuse_other_lengths(sized, header, delimiter, source)
    _refuse_several_splits(sized, header, source)
    unused = tuple(name for place, name in enumerate(header) if name and place not in columns.values())
    return Table(_of_columns(sized, columns), unused)


def _of_columns(rows: Sequence[tuple[int, list[str]]], columns: dict[str, int]) -> tuple[Row, ...]:
    needed = itemgetter(*(columns[name] for name in COLUMNS))  # image, four corners, label
    picked = ((line, cells, needed(cells)) for line, cells in rows)
    if not columns.keys() >= _SIZE.keys():
        return tuple(Row(line, found[0], found[1:5], found[5]) for line, _, found in picked)
    size = itemgetter(columns["height"], columns["width"])
    return tuple(Row(line, found[0], found[1:5], found[5], size(cells)) for line, cells, found in picked)


def has_known_header(source: Path) -> bool:
    """Whether the first line of a file names the columns of boxes; the rest of the file is not read."""
    return not _lacking(_places(_first_cells(source)))


def is_without_header(source: Path) -> bool:
    """Whether the first line of a file is a row of a box as in Keras RetinaNet: image, four numbers, class."""
    cells = _first_cells(source)
    return len(cells) == 6 and (not any(cells[1:5]) or all(as_number(cell) is not None for cell in cells[1:5]))


def _first_cells(source: Path) -> list[str]:
    """Cells of the first line that is not empty and states no delimiter; empty where a file cannot be read."""
    try:
        with open_file(source) as file:
            head = file.read(_HEAD)
    except OSError:
        return []
    wide = head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    text = head.decode("utf-16" if wide else "utf-8-sig", errors="replace")
    delimiter, skipped = _delimiter(text)
    lines = [line for line in text.splitlines()[skipped:] if line.strip()][:1]
    return next(csv.reader(lines, delimiter=delimiter, skipinitialspace=True), [])


def _delimiter(text: str) -> tuple[str, int]:
    """The delimiter that splits the header into most known columns, and the number of lines before the header.

    The number of delimiters is no criterion: names and decimal numbers contain commas, too.
    """
    lines = [line for line in text[:_HEAD].splitlines() if line.strip()][:2]
    if lines and (
        stated := re.fullmatch(r"sep=([^\w\"'.])", lines[0].strip(" "))
    ):  # Excel writes this line, and reads the file by it
        return stated[1], 1
    header = lines[:1]
    known = {name for names in (*COLUMNS.values(), *_SIZE.values()) for name in names}

    def columns(delimiter: str) -> int:
        cells = next(csv.reader(header, delimiter=delimiter, skipinitialspace=True), [])
        return sum(_key(cell) in known for cell in cells)

    return max(_DELIMITERS, key=columns), 0


def _rows(text: str, delimiter: str, source: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True, strict=True)
    start = 1
    try:
        for row in reader:
            yield start, [cell.strip() for cell in row]
            start = reader.line_num + 1
    except csv.Error as error:
        known = {
            "end of data": "a quotation mark is not closed",
            "field limit": f"a cell has over {csv.field_size_limit():,} characters, as if a quotation mark were open",
        }
        why = next((meaning for words, meaning in known.items() if words in str(error)), str(error))
        raise DatasetError(f"{source} is not read from line {start} on: {why}; correct it", code="E102") from error


def _trimmed(cells: list[str], length: int) -> list[str]:
    """Remove empty cells at the end of a row, which spreadsheets add; at least ``length`` cells remain."""
    end = len(cells)
    while end > length and not cells[end - 1]:
        end -= 1
    return cells[:end]


def _key(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _places(header: Sequence[str]) -> dict[str, int]:
    """Index of each known column, by its first name that occurs."""
    keys = [_key(name) for name in header]
    names = {**COLUMNS, **_SIZE}
    found = {column: next((name for name in names[column] if name in keys), None) for column in names}
    return {column: keys.index(name) for column, name in found.items() if name is not None}


def _lacking(places: dict[str, int]) -> list[str]:
    return [name for name in COLUMNS if name not in places]


def _columns(header: list[str], source: Path) -> dict[str, int]:
    """Index of each known column; raises E103 for missing columns, and for repeated ones."""
    places, keys = _places(header), [_key(name) for name in header]
    lacking = _lacking(places)
    twice = [header[place] for place in places.values() if keys.count(keys[place]) > 1]
    if twice and not lacking:
        raise DatasetError(
            f"{source} has the column {first_of(twice)} twice; leave one of them or rename it", code="E103"
        )
    if not lacking:
        return places
    kind = ""
    if {"imageid", "labelname"} <= set(keys):
        kind = "it is an Open Images file, whose numbers are shares of the image; "
    elif any(re.fullmatch(r"-?[0-9]+([.][0-9]+)?", cell.strip()) for cell in header):
        kind = "its first line is no header; "
    raise DatasetError(
        f"{source} lacks the columns {', '.join(lacking)}: {kind}the header must be image,xmin,ymin,xmax,ymax,label "
        f"with corners in pixels (found: {first_of(header, 8) or 'nothing'})",
        code="E103",
    )


def _refuse_several_splits(rows: Sequence[tuple[int, list[str]]], header: Sequence[str], source: Path) -> None:
    """Stop where a column assigns rows to different splits, which would all be read as one split."""
    for place in (place for place, name in enumerate(header) if _key(name) in _SPLIT_COLUMNS):
        words = Counter(cells[place] for _, cells in rows if cells[place])
        splits = {SPLITS.get(word.lower()) for word in words}
        if len(splits) > 1 and None not in splits:
            counts = ", ".join(f"{word} {count}" for word, count in words.most_common())
            raise DatasetError(
                f"{source}: the column {header[place]} has rows of several splits ({counts}), but a file is read as "
                "one split; write a file for each, such as train.csv and val.csv",
                code="E103",
            )


def _refuse_other_lengths(
    rows: Sequence[tuple[int, list[str]]], header: Sequence[str], delimiter: str, source: Path
) -> None:
    other = [(line, cells) for line, cells in rows if len(cells) != len(header)]
    if not other:
        return
    line, cells = other[0]
    advice = f"text that holds '{delimiter}' must be in quotation marks"
    if len(cells) < len(header):
        advice = "is the line cut? An image without objects has its name and empty cells"
    more = f" ({len(other) - 1} more lines do not fit)" if len(other) > 1 else ""
    raise DatasetError(
        f"{source} line {line} has {len(cells)} cells, the header {len(header)}{more}: "
        f"{delimiter.join(cells)[:80]}; {advice}",
        code="E103",
    )
