"""Reads detections from a file, so that they can be measured.

Two kinds of file are recognised: COCO's results JSON, a list of ``{"image_id", "category_id", "bbox": [x, y, width,
height], "score"}``, also as the only such list of an object; and the output of ``predict --json``, an object a line
with ``"image"`` and its ``"detections"``. Numbers stay as precise as they were written; ids are read by the rule that
holds for those of the ground truth.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from faster_rcnn.errors import DatasetError
from faster_rcnn.evaluation.coco import ExactDetections
from faster_rcnn.evaluation.matching import NamedImage, positions_of
from faster_rcnn.parsing.json_values import (
    finite_score,
    four_numbers,
    parsed,
    parsed_lines,
    require_keys,
    shortened,
    shown,
    unknown_values,
)
from faster_rcnn.parsing.text import read_text
from faster_rcnn.parsing.values import as_id, cut, first_of
from faster_rcnn.structures import ClassMap, ImageSize

MAX_LOWEST_SCORE = 0.1
"""A file whose lowest score is above this was probably cut, as by ``predict --conf``; that lowers AP."""


@dataclass(frozen=True, slots=True)
class Results:
    """Detections of a results file for a set of images."""

    detections: tuple[ExactDetections, ...]
    """Detections of each image, in the order of the images; empty for images that the file does not mention."""
    notes: tuple[str, ...]
    """Lines that a reader of the metrics should know."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One detection of the file."""

    image: int
    """Position among the measured images."""
    category: object
    """Class id or name, as the file has it."""
    box_xywh: tuple[float, float, float, float]
    score: float


def is_results_file(path: Path) -> bool:
    """Whether ``path`` is a file of JSON, which no model file is; ``read_results`` checks its content."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(4096)
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return head.decode("utf-16", errors="ignore").lstrip()[:1] in ("[", "{")
    # A safetensors file opens with a length in 8 bytes, the first of which may well be a bracket; the last ones are 0.
    return b"\0" not in head and head.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in (b"[", b"{")


def read_results(path: Path, images: Sequence[NamedImage], classes: ClassMap) -> Results:
    """Read the detections that ``path`` holds for ``images``.

    COCO results are matched by image id and class id, lines of ``predict`` by path and class name. Lines of other
    images are left out with a note, as a folder may hold more images than its split; unknown image ids are an error.

    Raises:
        DatasetError: the file is broken or no results file, an image or class is unknown, or a box or score is invalid.
    """
    text = read_text(path)
    notes: list[str] = []
    if (records := _records(path, text, notes)) is not None:
        entries = _coco_entries(path, records, images, notes)
        labels: dict[object, int] = {class_id: label for label, class_id in enumerate(classes.ids)}
    else:
        entries, notes = _line_entries(path, _lines(path, text), images)
        labels = {name: label for label, name in enumerate(classes.names)}
    holes = frozenset(classes.holes)
    labels = {key: label for key, label in labels.items() if label not in holes}
    _require_known_classes(path, entries, labels, classes)
    return Results(_grouped(entries, labels, len(images)), (*notes, *_note_on_scores(path, entries)))


def _records(path: Path, text: str, notes: list[str]) -> list[Any] | None:
    """The records of COCO results: a list, or the only such list in an object; ``None`` for other files."""
    if text.lstrip().startswith("["):
        records: list[Any] = parsed(str(path), text)
        return records
    if not _is_one_object(text):
        return None
    content = parsed(str(path), text)
    values = content if isinstance(content, dict) and "images" not in content else {}
    lists = {key: value for key, value in values.items() if isinstance(value, list) and _is_result(value[:1])}
    if len(lists) != 1:
        return None
    [(key, records)] = lists.items()
    notes.append(f"{path}: the {len(records)} records under '{key}' are its detections")
    return records


def _is_one_object(text: str) -> bool:
    """Whether a text is a single object, on one line or several, and not an object a line."""
    first, _, rest = text.strip().partition("\n")
    return bool(first) and (not rest or not first.rstrip().endswith("}"))


def _is_result(records: list[Any]) -> bool:
    return any(isinstance(record, dict) and {"image_id", "score"} <= record.keys() for record in records)


def _coco_entries(path: Path, records: list[Any], images: Sequence[NamedImage], notes: list[str]) -> list[_Entry]:
    for number, record in enumerate(records, 1):
        keys = ("image_id", "category_id", "bbox", "score")
        require_keys(f"{path}: record {number}", record, keys, "a COCO detection")
    positions = _positions_by_id(path, [record["image_id"] for record in records], images, notes)
    without = len(images) - len(set(positions))
    if 2 * without > len(images):
        notes.append(f"{path}: {without} of {len(images)} images have no detections in it; another split: --split")
    entries = []
    for number, (record, position) in enumerate(zip(records, positions, strict=True), 1):
        where = f"{path}: record {number}"
        box = four_numbers(where, record["bbox"], "[x, y, width, height]")
        _require_sides(where, box, record["bbox"], "[x, y, width, height]")
        category = as_id(record["category_id"])
        score = finite_score(where, record["score"])
        entries.append(_Entry(position, shown(record["category_id"]) if category is None else category, box, score))
    return entries


def _positions_by_id(
    path: Path, written: Sequence[object], images: Sequence[NamedImage], notes: list[str]
) -> list[int]:
    """Positions of images by their ids; by file names, with or without ending, where all ids of the file are these."""
    by_id: dict[object, int] = {image.image_id: position for position, image in enumerate(images)}
    ids = [as_id(value) for value in written]
    if all(one in by_id for one in ids):
        return [by_id[one] for one in ids]
    texts = [shown(value, 300) for value in written]
    for names in ([image.path.name for image in images], [image.path.stem for image in images]):
        by_name = {name: position for position, name in enumerate(names)}
        if len(by_name) == len(images) and all(text in by_name for text in texts):
            notes.append(f"{path}: its image ids are file names, such as {texts[0]}, and are taken as these")
            return [by_name[text] for text in texts]
    unknown = unknown_values([value for value, one in zip(written, ids, strict=True) if one not in by_id], ())
    known = ", ".join(json.dumps(image.image_id) for image in images[:3])
    raise DatasetError(
        f"{path}: {len(unknown)} of its {len(set(texts))} image ids are none of the {len(images)} images "
        f"that are measured, e.g. {first_of(unknown)}; the data has the ids {known} and so on. Where the results are "
        "of another split, name it with --split",
        code="E134",
    )


def _lines(path: Path, text: str) -> list[tuple[int, dict[str, Any]]]:
    """The lines of ``predict --json`` with their numbers."""
    lines = [(1, parsed(str(path), text))] if _is_one_object(text) else parsed_lines(str(path), text)
    if lines and isinstance(lines[0][1], dict) and "annotations" in lines[0][1]:
        raise DatasetError(
            f"{path} holds 'annotations', so it is ground truth; 'evaluate' takes it as DATA, and a model or "
            "detections as MODEL",
            code="E103",
        )
    for number, line in lines:
        require_keys(f"{path}: line {number}", line, ("image", "detections"), "a line of 'predict --json'")
        if not isinstance(line["image"], str):
            raise DatasetError(
                f"{path}: line {number}: 'image' must be the name of an image, not {shortened(line['image'])}",
                code="E103",
            )
    return lines


def _line_entries(
    path: Path, lines: list[tuple[int, dict[str, Any]]], images: Sequence[NamedImage]
) -> tuple[list[_Entry], list[str]]:
    names: list[str] = [line["image"] for _, line in lines]
    positions = positions_of(names, images)
    others = [name for name, position in zip(names, positions, strict=True) if position is None]
    if lines and len(others) == len(lines):
        raise DatasetError(
            f"{path}: all of its images are none of the {len(images)} images that are measured, e.g. "
            f"{first_of(others)}; the data has {first_of((image.path.name for image in images), 3)}. Where the results "
            "are of another split, name it with --split",
            code="E134",
        )
    entries: list[_Entry] = []
    line_of: dict[int, int] = {}
    for (number, line), position in zip(lines, positions, strict=True):
        if position is not None:
            _require_new(path, line_of, number, position, line)
            entries += _entries_of_line(f"{path}: line {number}", line, position, images[position].size)
    return entries, _notes_on_images(path, others, len(images) - len(line_of), len(images))


def _entries_of_line(where: str, line: dict[str, Any], position: int, size: ImageSize) -> list[_Entry]:
    written = (line.get("height", size.height), line.get("width", size.width))
    if written != size:
        raise DatasetError(
            f"{where}: {cut(line['image'], 300)} is {shown(written[1])}x{shown(written[0])} there but "
            f"{size.width}x{size.height} in the data, so its boxes do not fit; predict again on the images of the data",
            code="E106",
        )
    if not isinstance(line["detections"], list):
        raise DatasetError(f"{where}: 'detections' must be a list", code="E103")
    entries = []
    for detection in line["detections"]:
        require_keys(where, detection, ("box", "score", "label"), "a line of 'predict --json'")
        x1, y1, x2, y2 = four_numbers(where, detection["box"], "[x1, y1, x2, y2]")
        box = (x1, y1, x2 - x1, y2 - y1)
        _require_sides(where, box, detection["box"], "[x1, y1, x2, y2]")
        entries.append(_Entry(position, detection["label"], box, finite_score(where, detection["score"])))
    return entries


def _require_sides(where: str, box: tuple[float, float, float, float], written: object, order: str) -> None:
    if box[2] < 0 or box[3] < 0:
        raise DatasetError(f"{where}: box {written} has a negative side; its order must be {order}", code="E107")


def _require_new(path: Path, line_of: dict[int, int], number: int, position: int, line: dict[str, Any]) -> None:
    """Note the line of an image, and raise for a second one, with which its detections would count twice."""
    if position in line_of:
        raise DatasetError(
            f"{path}: lines {line_of[position]} and {number} are about the same image {cut(line['image'], 300)}",
            code="E113",
        )
    line_of[position] = number


def _require_known_classes(path: Path, entries: list[_Entry], labels: dict[object, int], classes: ClassMap) -> None:
    unknown = unknown_values([entry.category for entry in entries], labels)
    if unknown:
        known = [f"{name} ({class_id})" for name, class_id in zip(classes.names, classes.ids, strict=True) if name]
        raise DatasetError(
            f"{path}: {len(unknown)} of its classes are none of the data's: {first_of(unknown)}; the data has "
            f"{first_of(known, 10)}",
            code="E112",
        )


def _notes_on_images(path: Path, others: list[str], without: int, total: int) -> list[str]:
    notes = []
    if others:
        notes.append(f"{path}: images that are not in this split, left out: {len(others)}, e.g. {first_of(others)}")
    if without:
        notes.append(f"{path}: {without} of {total} images of this split have no line and count as without detections")
    return notes


def _note_on_scores(path: Path, entries: list[_Entry]) -> list[str]:
    lowest = min((entry.score for entry in entries), default=0.0)
    if lowest <= MAX_LOWEST_SCORE:
        return []
    advice = "AP needs the low scores too, which 'predict --conf 0.05' keeps"
    return [f"{path}: the lowest score is {lowest:.2f}; {advice}"]


def _grouped(entries: list[_Entry], labels: dict[object, int], count: int) -> tuple[ExactDetections, ...]:
    """The entries by image, in the order of the file, by which equal scores are ranked."""
    of_image: list[list[_Entry]] = [[] for _ in range(count)]
    for entry in entries:
        of_image[entry.image].append(entry)
    return tuple(
        ExactDetections(
            torch.tensor([entry.box_xywh for entry in found], dtype=torch.float64).reshape(-1, 4),
            torch.tensor([entry.score for entry in found], dtype=torch.float64),
            torch.tensor([labels[entry.category] for entry in found], dtype=torch.int64),
        )
        for found in of_image
    )
