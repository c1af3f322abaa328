"""Recognition of the COCO files of a data set and of their splits."""

from __future__ import annotations

import mmap
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from faster_rcnn.data.layout.folders import child, entries_of, files_of, folders_of
from faster_rcnn.data.layout.listing import by_split, split_of
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.json_values import parsed
from faster_rcnn.parsing.text import read_text
from faster_rcnn.parsing.values import first_of
from faster_rcnn.system.files import open_file

_ROBOFLOW = "_annotations.coco.json"
_KEYS = ("images", "annotations", "categories")
_MAX_FILES = 20
"""Maximum number of JSON files in the folder of a split: more files are one per image, which is not COCO."""


def find_splits(root: Path) -> dict[str, Path]:
    """Annotation files by split; a split with several possible files has the folder ``root`` instead.

    Recognised are ``train/_annotations.coco.json``, ``annotations/train.json``, ``train.json``, and one file in the
    folder of each split, such as ``train/labels.json``. A file that lists images without annotations, as COCO has for
    its test images, is no split.

    Raises:
        DatasetError: the names of several files contain no split (E101).
    """
    found = {split: _preferred(split, files) or root for split, files in candidates(root).items()}
    with_truth = {split: file for split, file in found.items() if file == root or not _lists_images_only(file)}
    return with_truth or found


def candidates(root: Path) -> dict[str, list[Path]]:
    """The possible files of each split; raises as ``find_splits`` does."""
    roboflow = _of_roboflow(root)
    if roboflow:
        return roboflow
    folder = child(root, "annotations")
    files = files_of(folder, ".json") if folder is not None else []
    if files:
        return {split: [file] for split, file in find_files(files).items()} if len(files) == 1 else _named(files)
    return _by_name(files_of(root, ".json")) or _in_split_folders([root, *([folder] if folder is not None else [])])


def find_files(files: list[Path]) -> dict[str, Path]:
    """Files that can only be COCO's, by split; a single file without a split in its name is the training split."""
    if len(files) == 1:
        return {split_of(files[0].stem) or "train": files[0]}
    return {split: _preferred(split, found) or files[0].parent for split, found in _named(files).items()}


def _named(files: list[Path]) -> dict[str, list[Path]]:
    """Files by the split in their names; without any, the only file with ground truth is the training split."""
    splits = _by_name(files)
    if not splits:
        truths = [file for file in files[:_MAX_FILES] if _is_ground_truth(file)]
        if not truths:
            read_json(files[0])  # raises an error that names the format, such as LabelMe
        if len(truths) == 1:
            return {"train": truths}
        raise DatasetError(
            f"{files[0].parent} holds {len(files)} JSON files whose names contain no split "
            f"({first_of(file.name for file in files)}); name them: --set data.train=FILE --set data.val=FILE",
            code="E101",
        )
    return splits


def unused(root: Path, used: Iterable[Path]) -> list[str]:
    """A line about JSON files of a data set that are no split."""
    folder = child(root, "annotations")
    beside = [*files_of(root, ".json"), *(files_of(folder, ".json") if folder is not None else [])]
    beside += [file for files in _of_roboflow(root).values() for file in files]
    rest = [file for file in dict.fromkeys(beside) if file not in set(used)]
    if not rest:
        return []
    without = [file.name for file in rest if _lists_images_only(file)]
    why = f"; {first_of(without)}: images without 'annotations'" if without else ""
    names = first_of(file.relative_to(root).as_posix() for file in rest)
    return [f"JSON files that are not read as annotations: {len(rest)} ({names}){why}"]


def read_json(source: Path) -> dict[str, Any]:
    """Read a COCO ground truth file and check that its three lists exist; raises E102 or E103."""
    payload = parsed(str(source), read_text(source))
    if not isinstance(payload, dict) or not all(isinstance(payload.get(key), list) for key in _KEYS):
        raise DatasetError(f"{source} {_what_it_is(payload)}", code="E103")
    return payload


def of_other_tool(root: Path) -> str | None:
    """A sentence about the first JSON file in the folder of a split, where it belongs to another known tool."""
    folders = [entry for entry in folders_of(root) if split_of(entry.name)]
    file = next((file for folder in folders for file in files_of(folder, ".json")), None)
    try:
        tool = None if file is None else _other_tool(parsed(str(file), read_text(file)))
    except DatasetError:
        return None
    return None if tool is None else f"{file} {tool}"


def _what_it_is(payload: object) -> str:
    """The reason why a JSON file is not COCO ground truth; it names the format where that is known."""
    if (tool := _other_tool(payload)) is not None:
        return tool
    if isinstance(payload, list):
        if payload and isinstance(payload[0], dict) and "score" in payload[0]:
            return (
                f"is a list of {len(payload)} records with 'score': a COCO results file. Ground truth is needed here; "
                "results take the place of the model: faster-rcnn evaluate RESULTS DATA"
            )
        return "is a list; COCO ground truth is an object with the lists 'images', 'annotations' and 'categories'"
    keys = set(payload) if isinstance(payload, dict) else set()
    missing = first_of(repr(key) for key in _KEYS if key not in keys) or "lists under its three keys"
    return f"is not COCO ground truth: it lacks {missing} (it has: {first_of(sorted(keys)) or 'nothing'})"


def _other_tool(payload: object) -> str | None:
    """A sentence about a file of a known tool, which is recognised by a key of its own; ``None`` for other files."""
    advice = "which is not read; export it as COCO JSON, VOC or YOLO"
    if isinstance(payload, list):
        first = payload[0] if payload and isinstance(payload[0], dict) else {}
        is_createml = {"image", "annotations"} <= first.keys()
        return f"is a CreateML file (it lists 'image' and 'annotations'), {advice}" if is_createml else None
    known = {"shapes": "LabelMe", "_via_img_metadata": "VGG Image Annotator", "asset": "VoTT", "features": "GeoJSON"}
    found = [(key, tool) for key, tool in known.items() if isinstance(payload, dict) and key in payload]
    return f"is a {found[0][1]} file (it has '{found[0][0]}'), {advice}" if found else None


def _by_name(files: list[Path]) -> dict[str, list[Path]]:
    """Files by the split that their own names contain."""
    return by_split((split_of(file.stem), file) for file in files)


def _of_roboflow(root: Path) -> dict[str, list[Path]]:
    """Roboflow's files by the split that the names of their folders contain."""
    return by_split((split_of(file.parent.name), file) for file in sorted(root.glob(f"*/{_ROBOFLOW}")))


def _in_split_folders(places: list[Path]) -> dict[str, list[Path]]:
    """Ground truth files in folders with the names of splits."""
    found: dict[str, list[Path]] = defaultdict(list)
    for entry in (entry for place in places for entry in entries_of(place)):
        split = split_of(entry.name)
        files = files_of(entry, ".json") if split is not None else []
        truths = [file for file in files if _is_ground_truth(file)] if len(files) <= _MAX_FILES else []
        if split is not None and truths:
            found[split] += truths
    return dict(found)


def _preferred(split: str, files: list[Path]) -> Path | None:
    """The file of a split: ``train.json``, else ``instances_train2017.json``, else the only file; else ``None``."""
    exact = [file for file in files if file.stem.lower() == split]
    instances = [file for file in files if "instances" in file.stem.lower()]
    return next((choice[0] for choice in (exact, instances, files) if len(choice) == 1), None)


def _is_ground_truth(file: Path) -> bool:
    return _mentions(file, b'"images"') and _mentions(file, b'"annotations"')


def _lists_images_only(file: Path) -> bool:
    return _mentions(file, b'"images"') and not _mentions(file, b'"annotations"')


def _mentions(file: Path, key: bytes) -> bool:
    """Whether a key occurs in a file; faster than parsing, which takes seconds for large files."""
    try:
        with open_file(file) as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            wide = key.decode().encode("utf-16-le")
            return content.find(key) >= 0 or (
                content[:2] in (b"\xff\xfe", b"\xfe\xff") and content.find(wide[:-1]) >= 0
            )
    except (OSError, ValueError):  # ValueError: an empty file
        return False
