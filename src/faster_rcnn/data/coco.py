"""COCO JSON: one file per split with ``images``, ``annotations`` and ``categories``.

Boxes are ``[x, y, width, height]`` in pixels, counted from 0. ``iscrowd`` marks a region that is ignored, as
pycocotools does; other keys, ``difficult`` and ``ignore`` among them, make no difference, also as in pycocotools.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from faster_rcnn.data.folders import Folders, child, files_of, first_of, image_root
from faster_rcnn.data.listing import ListedBox, ListedImage, Listing, split_of
from faster_rcnn.errors import DatasetError
from faster_rcnn.structures import ImageSize

FORMAT = "COCO JSON"
_ROBOFLOW = "_annotations.coco.json"
_KEYS = ("images", "annotations", "categories")


def find_splits(root: Path) -> dict[str, Path]:
    """Annotation files by split: ``annotations/train.json``, ``train/_annotations.coco.json``, or ``train.json``.

    Raises:
        DatasetError: there are several files and their names don't say which is which.
    """
    roboflow = {split_of(part.parent.name): part for part in sorted(root.glob(f"*/{_ROBOFLOW}"))}
    found = {split: part for split, part in roboflow.items() if split is not None}
    if found:
        return found
    folder = child(root, "annotations")
    files = files_of(folder, ".json") if folder is not None else []
    return find_files(files) if files else _by_split(files_of(root, ".json"))


def find_files(files: list[Path]) -> dict[str, Path]:
    """The same of files that can only be COCO's; one alone is the training split."""
    if len(files) == 1:
        return {split_of(files[0].stem) or "train": files[0]}
    splits = _by_split(files)
    if files and not splits:
        read_json(files[0])  # so that, say, a folder of LabelMe files is called what it is
        raise DatasetError(
            f"{files[0].parent} holds {len(files)} JSON files whose names do not say which split they are "
            f"({first_of(file.name for file in files)}); name them: --set data.train=FILE --set data.val=FILE",
            code="E101",
        )
    return splits


def _by_split(files: list[Path]) -> dict[str, Path]:
    splits: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        if split := split_of(file.stem):
            splits[split].append(file)
    return {split: _preferred(split, candidates) for split, candidates in splits.items()}


def _preferred(split: str, files: list[Path]) -> Path:
    """``train.json`` before ``instances_train2017.json`` before captions and keypoints."""
    exact = [file for file in files if file.stem.lower() == split]
    instances = [file for file in files if "instances" in file.stem.lower()]
    for choice in (exact, instances, files):
        if len(choice) == 1:
            return choice[0]
    raise DatasetError(
        f"{first_of(file.name for file in files)} in {files[0].parent} all look like the {split} split; "
        f"choose one: --set data.{split}=FILE",
        code="E101",
    )


def read(source: Path, split: str, images: Path | None, folders: Folders) -> Listing:
    """Read one annotation file.

    Raises:
        DatasetError: broken JSON (E102), not COCO ground truth (E103), an image id used twice (E113).
    """
    payload = read_json(source)
    pictures = [_picture(entry, source) for entry in payload["images"]]
    _refuse_repeated_ids([image_id for image_id, _, _ in pictures], source)
    roots = [images] if images is not None else _image_folders(source, split)
    root = image_root([name for _, name, _ in pictures], roots, folders)
    boxes, notes = _boxes_by_image(payload["annotations"], {image_id for image_id, _, _ in pictures}, source)
    return Listing(
        format=FORMAT,
        split=split,
        source=source,
        images=tuple(
            ListedImage(name, root / name, image_id, size, tuple(boxes.get(image_id, ())), source.name)
            for image_id, name, size in pictures
        ),
        notation="xywh",
        categories=tuple(_category(entry, source) for entry in payload["categories"]),
        parents=frozenset(str(entry.get("supercategory")) for entry in payload["categories"]),
        notes=tuple(notes),
    )


def _image_folders(source: Path, split: str) -> list[Path]:
    """Where images usually lie, seen from the annotation file; COCO's own folders carry a year."""
    here, up = source.parent, source.parent.parent
    folders = [up / "images", here / "images", here, up]
    folders += [base / name for base in folders[:2] for name in (split, f"{split}2017", f"{split}2014")]
    folders += [up / name for name in (split, f"{split}2017", f"{split}2014")]
    return folders


def read_json(source: Path) -> dict[str, Any]:
    """The content of a COCO ground truth file, its three lists checked to be there; raises E102 or E103."""
    try:
        payload = json.loads(source.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        ends = not error.doc.rstrip().endswith(("}", "]"))
        cause = "; the file ends in the middle of a record: was a copy interrupted?" if ends else ""
        raise DatasetError(
            f"{source} is not valid JSON at line {error.lineno} column {error.colno}: {error.msg}{cause}", code="E102"
        ) from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{source} is not text in UTF-8 (byte {error.start}), so not JSON", code="E102") from error
    if not isinstance(payload, dict) or not all(isinstance(payload.get(key), list) for key in _KEYS):
        raise DatasetError(f"{source} {_what_it_is(payload)}", code="E103")
    return payload


def _what_it_is(payload: object) -> str:
    """Why a JSON is not COCO ground truth, naming the format it has where that is known."""
    if isinstance(payload, list):
        if payload and isinstance(payload[0], dict) and "score" in payload[0]:
            return (
                f"is a list of {len(payload)} records with 'score': a COCO results file. Ground truth is needed here; "
                "results take the place of the model: faster-rcnn evaluate RESULTS DATA"
            )
        return "is a list; COCO ground truth is an object with the lists 'images', 'annotations' and 'categories'"
    keys = set(payload) if isinstance(payload, dict) else set()
    known = {"shapes": "LabelMe", "_via_img_metadata": "VGG Image Annotator", "asset": "VoTT", "features": "GeoJSON"}
    for key, tool in known.items():
        if key in keys:
            return f"is a {tool} file (it has '{key}'), which is not read; export it as COCO JSON, VOC or YOLO"
    missing = first_of(repr(key) for key in _KEYS if key not in keys) or "lists under its three keys"
    return f"is not COCO ground truth: it lacks {missing} (it has: {first_of(sorted(keys)) or 'nothing'})"


def _whole(value: object) -> int | None:
    """An id: a whole number, or text of one as some tools write it."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal():
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) else None


def _picture(entry: Any, source: Path) -> tuple[int, str, ImageSize | None]:
    image_id = _whole(entry.get("id")) if isinstance(entry, dict) else None
    name = entry.get("file_name") if isinstance(entry, dict) else None
    if image_id is None or not isinstance(name, str) or not name:
        raise DatasetError(
            f"{source}: an entry of 'images' needs a whole number 'id' and a 'file_name', but one is {_short(entry)}",
            code="E103",
        )
    height, width = _whole(entry.get("height")), _whole(entry.get("width"))
    return image_id, name, ImageSize(height, width) if height and width else None


def _category(entry: Any, source: Path) -> tuple[int, str]:
    class_id = _whole(entry.get("id")) if isinstance(entry, dict) else None
    if class_id is None or not isinstance(entry.get("name"), str):
        raise DatasetError(
            f"{source}: an entry of 'categories' needs a whole number 'id' and a 'name', but one is {_short(entry)}",
            code="E103",
        )
    return class_id, entry["name"]


def _short(entry: object) -> str:
    return json.dumps(entry, default=str)[:80]


def _refuse_repeated_ids(ids: list[int], source: Path) -> None:
    repeated = [image_id for image_id, count in Counter(ids).items() if count > 1]
    if repeated:
        raise DatasetError(
            f"{source}: image ids must be unique, but {len(repeated)} occur more than once ({first_of(repeated)}); "
            "annotations could belong to either image. Give each entry of 'images' its own 'id'",
            code="E113",
        )


def _boxes_by_image(
    annotations: list[Any], known: set[int], source: Path
) -> tuple[dict[int, list[ListedBox]], list[str]]:
    """Boxes per image id; and what is odd about ids, as notes."""
    boxes: dict[int, list[ListedBox]] = defaultdict(list)
    homeless = []
    for position, entry in enumerate(annotations):
        if not isinstance(entry, dict):
            raise DatasetError(f"{source}: annotation number {position} is not an object: {_short(entry)}", code="E103")
        image_id = _whole(entry.get("image_id"))
        if image_id is None or image_id not in known:
            homeless.append(f"annotation id {entry.get('id')} (image_id {entry.get('image_id')})")
            continue
        boxes[image_id].append(_box(entry, position))
    _refuse_homeless(homeless, len(annotations), source)
    notes = []
    if homeless:
        notes = [f"{source.name}: left out, because they belong to no listed image: {first_of(homeless, 20)}"]
    return boxes, notes + _repeated_ids(entry.get("id") for entry in annotations)


def _box(entry: dict[str, Any], position: int) -> ListedBox:
    category = _whole(entry.get("category_id"))
    written = entry.get("bbox")
    area = entry.get("area")
    usable = isinstance(area, int | float) and not isinstance(area, bool) and math.isfinite(area) and area > 0
    return ListedBox(
        where=f"annotation id {entry['id']}" if "id" in entry else f"annotation number {position}",
        written=tuple(written) if isinstance(written, list) else (written,),
        category=category if category is not None else str(entry.get("category_id")),
        ignored=bool(entry.get("iscrowd")),
        area=float(area) if usable and area is not None else None,
    )


def _refuse_homeless(homeless: list[str], annotations: int, source: Path) -> None:
    if len(homeless) > max(1, annotations // 100):
        raise DatasetError(
            f"{source}: {len(homeless)} of {annotations} annotations belong to no image of its 'images' list: "
            f"{first_of(homeless)}; the lists are not of one data set",
            code="E103",
        )


def _repeated_ids(ids: Iterable[object]) -> list[str]:
    repeated = [name for name, count in Counter(map(str, ids)).items() if count > 1 and name != "None"]
    if not repeated:
        return []
    return [
        f"E113 {len(repeated)} annotation ids occur more than once ({first_of(repeated)}); "
        "they are renumbered in memory, nothing else changes"
    ]
