"""Which COCO files a data set has, and which split each of them is."""

from __future__ import annotations

import mmap
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from faster_rcnn.data.layout.folders import child, entries_of, files_of, first_of, folders_of
from faster_rcnn.data.layout.listing import split_of
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.json_values import parsed
from faster_rcnn.parsing.text import read_text
from faster_rcnn.system.files import open_file

ROBOFLOW = "_annotations.coco.json"
_KEYS = ("images", "annotations", "categories")
_MOST_FILES = 20
"""A folder of a split with more JSON files has one per image, which COCO has not."""


def find_splits(root: Path) -> dict[str, Path]:
    """Annotation files by split; the folder ``root`` stands for a split that several files may be.

    Known are ``train/_annotations.coco.json``, ``annotations/train.json``, ``train.json``, and one file in the folder
    of each split, such as ``train/labels.json``. A file that lists images without annotations, as COCO has for its test
    images, is no split.

    Raises:
        DatasetError: there are several files and their names do not say which is which.
    """
    found = {split: _preferred(split, files) or root for split, files in candidates(root).items()}
    with_truth = {split: file for split, file in found.items() if file == root or not _lists_images_only(file)}
    return with_truth or found


def candidates(root: Path) -> dict[str, list[Path]]:
    """The files that each split may be; raises as ``find_splits`` does."""
    roboflow = _by_split(sorted(root.glob(f"*/{ROBOFLOW}")), of_folder=True)
    if roboflow:
        return roboflow
    folder = child(root, "annotations")
    files = files_of(folder, ".json") if folder is not None else []
    if files:
        return {split: [file] for split, file in find_files(files).items()} if len(files) == 1 else _named(files)
    return _by_split(files_of(root, ".json")) or _in_split_folders([root, *([folder] if folder is not None else [])])


def find_files(files: list[Path]) -> dict[str, Path]:
    """Files that can only be COCO's, by split; one alone is the training split."""
    if len(files) == 1:
        return {split_of(files[0].stem) or "train": files[0]}
    return {split: _preferred(split, found) or files[0].parent for split, found in _named(files).items()}


def _named(files: list[Path]) -> dict[str, list[Path]]:
    """Files by the split that their names speak of; where none does, the only ground truth is the training split."""
    splits = _by_split(files)
    if not splits:
        truths = [file for file in files[:_MOST_FILES] if _is_ground_truth(file)]
        if not truths:
            read_json(files[0])  # so that, say, a folder of LabelMe files is called what it is
        if len(truths) == 1:
            return {"train": truths}
        raise DatasetError(
            f"{files[0].parent} holds {len(files)} JSON files whose names do not say which split they are "
            f"({first_of(file.name for file in files)}); name them: --set data.train=FILE --set data.val=FILE",
            code="E101",
        )
    return splits


def refuse_several(root: Path, split: str) -> DatasetError:
    """What to say where several files may be the split that is asked for."""
    files = candidates(root)[split]
    return DatasetError(
        f"{first_of(file.relative_to(root).as_posix() for file in files)} in {root} look like the {split} split; "
        f"choose one: --set data.{split}=FILE",
        code="E101",
    )


def unused(root: Path, used: Iterable[Path]) -> list[str]:
    """A line about the JSON files of a data set that none of the splits is read from."""
    folder = child(root, "annotations")
    beside = [*files_of(root, ".json"), *(files_of(folder, ".json") if folder is not None else [])]
    beside += [
        file for files in _by_split(sorted(root.glob(f"*/{ROBOFLOW}")), of_folder=True).values() for file in files
    ]
    rest = [file for file in dict.fromkeys(beside) if file not in set(used)]
    if not rest:
        return []
    without = [file.name for file in rest if _lists_images_only(file)]
    why = f"; {first_of(without)}: images without 'annotations'" if without else ""
    names = first_of(file.relative_to(root).as_posix() for file in rest)
    return [f"JSON files that are not read as annotations: {len(rest)} ({names}){why}"]


def read_json(source: Path) -> dict[str, Any]:
    """The content of a COCO ground truth file, its three lists checked to be there; raises E102 or E103."""
    payload = parsed(str(source), read_text(source))
    if not isinstance(payload, dict) or not all(isinstance(payload.get(key), list) for key in _KEYS):
        raise DatasetError(f"{source} {_what_it_is(payload)}", code="E103")
    return payload


def of_other_tool(root: Path) -> str | None:
    """A sentence about the first JSON file in the folder of a split, where it is a known tool's and not COCO's."""
    folders = [entry for entry in folders_of(root) if split_of(entry.name)]
    file = next((file for folder in folders for file in files_of(folder, ".json")), None)
    try:
        tool = None if file is None else _other_tool(parsed(str(file), read_text(file)))
    except DatasetError:
        return None
    return None if tool is None else f"{file} {tool}"


def _what_it_is(payload: object) -> str:
    """Why a JSON is not COCO ground truth, naming the format it has where that is known."""
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
    """What to say about a file of a tool that is known, by a key that no other has."""
    advice = "which is not read; export it as COCO JSON, VOC or YOLO"
    if isinstance(payload, list):
        first = payload[0] if payload and isinstance(payload[0], dict) else {}
        is_createml = {"image", "annotations"} <= first.keys()
        return f"is a CreateML file (it lists 'image' and 'annotations'), {advice}" if is_createml else None
    known = {"shapes": "LabelMe", "_via_img_metadata": "VGG Image Annotator", "asset": "VoTT", "features": "GeoJSON"}
    found = [(key, tool) for key, tool in known.items() if isinstance(payload, dict) and key in payload]
    return f"is a {found[0][1]} file (it has '{found[0][0]}'), {advice}" if found else None


def _by_split(files: list[Path], of_folder: bool = False) -> dict[str, list[Path]]:
    splits: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        if split := split_of(file.parent.name if of_folder else file.stem):
            splits[split].append(file)
    return dict(splits)


def _in_split_folders(places: list[Path]) -> dict[str, list[Path]]:
    """The ground truth in folders that are called as splits are."""
    found: dict[str, list[Path]] = defaultdict(list)
    for entry in (entry for place in places for entry in entries_of(place)):
        split = split_of(entry.name)
        files = files_of(entry, ".json") if split is not None else []
        truths = [file for file in files if _is_ground_truth(file)] if len(files) <= _MOST_FILES else []
        if split is not None and truths:
            found[split] += truths
    return dict(found)


def _preferred(split: str, files: list[Path]) -> Path | None:
    """``train.json`` before ``instances_train2017.json`` before captions and keypoints; none where that is not one."""
    exact = [file for file in files if file.stem.lower() == split]
    instances = [file for file in files if "instances" in file.stem.lower()]
    return next((choice[0] for choice in (exact, instances, files) if len(choice) == 1), None)


def _is_ground_truth(file: Path) -> bool:
    return _mentions(file, b'"images"') and _mentions(file, b'"annotations"')


def _lists_images_only(file: Path) -> bool:
    return _mentions(file, b'"images"') and not _mentions(file, b'"annotations"')


def _mentions(file: Path, key: bytes) -> bool:
    """Whether a key stands in a file; quicker than to read it, which takes seconds where it is large."""
    try:
        with open_file(file) as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            wide = key.decode().encode("utf-16-le")
            return content.find(key) >= 0 or (
                content[:2] in (b"\xff\xfe", b"\xfe\xff") and content.find(wide[:-1]) >= 0
            )
    except (OSError, ValueError):  # ValueError: an empty file
        return False
