"""COCO JSON: one file per split with ``images``, ``annotations`` and ``categories``.

Boxes are ``[x, y, width, height]`` in pixels, counted from 0; an annotation without a box has the box around its
``segmentation``. ``iscrowd`` marks an ignored region, as in pycocotools; other keys, such as ``difficult`` and
``ignore``, have no effect, also as in pycocotools.
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from faster_rcnn.data.formats.coco_files import candidates, read_json
from faster_rcnn.data.formats.outline import box_around
from faster_rcnn.data.layout.folders import Folders
from faster_rcnn.data.layout.image_folders import Source, find_images
from faster_rcnn.data.layout.listing import ListedBox, ListedImage, Listing, several_files
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.json_values import shortened, shown
from faster_rcnn.parsing.values import as_flag, as_id, as_integer, as_number, first_of, is_text
from faster_rcnn.structures import ImageSize

FORMAT = "COCO JSON"
_CROWD, _AREA, _OUTLINE = (
    "annotations whose 'iscrowd' is neither 0 nor 1, read as 0",
    "annotations whose 'area' is no positive number: the area of the box is used",
    "annotations without a 'bbox': the box around the 'segmentation' is used",
)
_NESTED = frozenset((list, dict))
_OTHER_MARKS = frozenset(("ignore", "difficult"))
_MARKED = "annotations with a true 'ignore' or 'difficult', which are learnt and measured: only 'iscrowd' is ignored"
_WITHOUT_BOX = "annotations with neither 'bbox' nor 'segmentation'"


class _Picture(NamedTuple):
    """An entry of ``images``."""

    image_id: int | str
    name: str
    size: ImageSize | None


def read(source: Path, split: str, images: Path | None, folders: Folders, root: Path) -> Listing:
    """Read one annotation file of the data set in ``root``.

    Raises:
        DatasetError: several files may be the split (E101), broken JSON (E102), not COCO ground truth (E103), several
            folders may hold the images (E104), an image id used twice (E113).
    """
    if source.is_dir():
        files = candidates(source).get(split)
        if files is None:
            raise DatasetError(
                f"{source} is a folder and no annotation file; rename it, or put the file there", code="E101"
            )
        raise several_files(files, source, split)
    return listing_of(read_json(source), source, split, images, folders, root)


def listing_of(
    payload: dict[str, Any], source: Path, split: str, images: Path | None, folders: Folders, root: Path
) -> Listing:
    """The listing that the content of an annotation file is; the arguments and errors are those of ``read``."""
    pictures = [_picture(entry, source) for entry in payload["images"]]
    _refuse_repeated_ids([picture.image_id for picture in pictures], source)
    categories, notes = _categories(payload["categories"], source)
    boxes, more = _boxes_by_image(payload["annotations"], {picture.image_id for picture in pictures}, source)
    found = find_images([picture.name for picture in pictures], Source(source, split, root, images), folders)
    return Listing(
        format=FORMAT,
        split=split,
        source=source,
        images=tuple(
            ListedImage(one.name, path, one.image_id, one.size, tuple(boxes.get(one.image_id, ())), source.name, fault)
            for one, path, fault in zip(pictures, found.located.paths, found.located.faults, strict=True)
        ),
        notation="xywh",
        categories=categories,
        parents=frozenset(
            name for entry in payload["categories"] if isinstance(name := entry.get("supercategory"), str)
        ),
        notes=(*notes, *more, *found.located.notes, *_listed_twice(pictures, found.located.paths, folders)),
        advice=found.advice,
    )


def _picture(entry: Any, source: Path) -> _Picture:
    image_id = as_id(entry.get("id")) if isinstance(entry, dict) else None
    name = entry.get("file_name") if isinstance(entry, dict) else None
    if image_id is None or not isinstance(name, str) or not name:
        raise DatasetError(
            f"{source}: an entry of 'images' needs an 'id', an integer or text, and a 'file_name', but one is "
            f"{shortened(entry)}",
            code="E103",
        )
    height, width = as_integer(entry.get("height")), as_integer(entry.get("width"))
    return _Picture(image_id, name, ImageSize(height, width) if height and width else None)


def _listed_twice(pictures: Sequence[_Picture], paths: Sequence[Path], folders: Folders) -> list[str]:
    """A note on files that several entries of ``images`` name, in any spelling."""
    entries: dict[str, list[_Picture]] = defaultdict(list)
    for picture, path in zip(pictures, paths, strict=True):
        entries[os.path.normpath(path)].append(picture)
    repeated = [
        f"{group[0].name} with the ids {first_of(picture.image_id for picture in group)}"
        for path, group in entries.items()
        if len(group) > 1 and folders.has(Path(path))
    ]
    if not repeated:
        return []
    return [
        f"images listed more than once: {len(repeated)} ({first_of(repeated)}); the objects of one entry are "
        "background in the other, so join the entries"
    ]


def _categories(entries: list[Any], source: Path) -> tuple[tuple[tuple[int, str], ...], list[str]]:
    """Ids and names of the categories, and a note on names that are not text in the file."""
    categories = tuple(_category(entry, source) for entry in entries)
    others = [name for entry, (_, name) in zip(entries, categories, strict=True) if not isinstance(entry["name"], str)]
    notes = [f"category names that are not text, used as they are written: {first_of(others)}"] if others else []
    return categories, notes


def _category(entry: Any, source: Path) -> tuple[int, str]:
    class_id = as_integer(entry.get("id")) if isinstance(entry, dict) else None
    name = entry.get("name") if isinstance(entry, dict) else None
    if isinstance(name, bool | int | float):
        name = json.dumps(name)
    if class_id is None or not isinstance(name, str) or not name.strip() or not is_text(name):
        raise DatasetError(
            f"{source}: an entry of 'categories' needs an integer 'id' and a 'name', but one is {shortened(entry)}",
            code="E103",
        )
    return class_id, name


def _refuse_repeated_ids(ids: list[int | str], source: Path) -> None:
    repeated = [image_id for image_id, count in Counter(ids).items() if count > 1]
    if repeated:
        raise DatasetError(
            f"{source}: image ids must be unique, but {len(repeated)} occur more than once ({first_of(repeated)}); "
            "annotations could belong to either image. Give each entry of 'images' its own 'id'",
            code="E113",
        )


def _boxes_by_image(
    annotations: list[Any], known: set[int | str], source: Path
) -> tuple[dict[int | str, list[ListedBox]], list[str]]:
    """Boxes by image id, and notes on odd annotations."""
    boxes: dict[int | str, list[ListedBox]] = defaultdict(list)
    homeless = []
    odd: dict[str, list[str]] = defaultdict(list)
    for position, entry in enumerate(annotations):
        if not isinstance(entry, dict):
            raise DatasetError(
                f"{source}: annotation number {position} is not an object: {shortened(entry)}", code="E103"
            )
        image_id = as_id(entry.get("image_id"))
        if image_id is None or image_id not in known:
            homeless.append(f"annotation id {shown(entry.get('id'))} (image_id {shown(entry.get('image_id'))})")
            continue
        boxes[image_id].append(_box(entry, position, odd))
    _refuse_homeless(homeless, len(annotations), source)
    _refuse_without_boxes(odd.pop(_WITHOUT_BOX, []), annotations, source)
    notes = [f"{source.name}: {what}: {len(places)} ({first_of(places, 3)})" for what, places in odd.items()]
    if homeless:
        notes.append(f"{source.name}: left out, because they belong to no listed image: {first_of(homeless, 20)}")
    return boxes, notes + _repeated_ids(entry.get("id") for entry in annotations)


def _box(entry: dict[str, Any], position: int, odd: dict[str, list[str]]) -> ListedBox:
    """The box of one annotation; oddities are added to ``odd`` with its place."""
    where = f"annotation id {shown(entry['id'])}" if "id" in entry else f"annotation number {position}"
    written = entry.get("bbox")
    if written in (None, []) and (around := box_around(entry.get("segmentation"))) is not None:
        odd[_OUTLINE].append(where)
        written = list(around)
    elif "bbox" not in entry and not entry.get("segmentation"):
        odd[_WITHOUT_BOX].append(where)
    crowd = as_flag(entry.get("iscrowd"))
    if crowd is None:
        odd[_CROWD].append(f"{where}: {shortened(entry['iscrowd'])}")
    if not crowd and not _OTHER_MARKS.isdisjoint(entry) and any(as_flag(entry.get(key)) for key in _OTHER_MARKS):
        odd[_MARKED].append(where)
    area = as_number(entry.get("area"))
    if entry.get("area") is not None and not (area and area > 0):
        odd[_AREA].append(f"{where}: {shortened(entry['area'])}")
    category = as_integer(entry.get("category_id"))
    return ListedBox(
        where=where,
        written=_as_it_stands(written) if isinstance(written, list) else (_quoted(written),),
        category=category if category is not None else shown(entry.get("category_id")),
        ignored=crowd is True,
        area=area if area and area > 0 else None,
    )


def _quoted(written: object) -> object:
    """A ``bbox`` that is no list, for messages: text in quotation marks, an object in braces."""
    return shortened(written) if isinstance(written, str | dict) else written


def _as_it_stands(written: list[object]) -> tuple[object, ...]:
    """The values of a box; a list or an object among them becomes text."""
    if _NESTED.isdisjoint(map(type, written)):
        return tuple(written)
    return tuple(shortened(value) if isinstance(value, list | dict) else value for value in written)


def _refuse_without_boxes(places: list[str], annotations: list[Any], source: Path) -> None:
    """Stop where no annotation has a box, as in files of captions."""
    if places and len(places) == len(annotations):
        keys = sorted({str(key) for entry in annotations[:100] for key in entry})
        raise DatasetError(
            f"{source}: none of its {len(annotations)} annotations has a 'bbox' or a 'segmentation', so it holds no "
            f"boxes (they have: {first_of(keys, 10)}); name the file that does: --set data.train=FILE",
            code="E103",
        )


def _refuse_homeless(homeless: list[str], annotations: int, source: Path) -> None:
    if len(homeless) > max(1, annotations // 100):
        raise DatasetError(
            f"{source}: {len(homeless)} of {annotations} annotations belong to no image of its 'images' list: "
            f"{first_of(homeless)}; the lists are not of one data set",
            code="E103",
        )


def _repeated_ids(ids: Iterable[object]) -> list[str]:
    repeated = [name for name, count in Counter(map(shown, ids)).items() if count > 1 and name != "null"]
    if not repeated:
        return []
    return [
        f"{len(repeated)} annotation ids occur more than once ({first_of(repeated)}); "
        "they are renumbered in memory, nothing else changes"
    ]
