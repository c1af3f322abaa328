"""The description of a YOLO data set: ``data.yaml``, or the files that darknet, CVAT and Label Studio write instead.

A description names the classes and, for each split, image folders, patterns of images or lists of images.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from faster_rcnn.data.formats.yolo_labels import KeypointShape
from faster_rcnn.data.layout.folders import child, entries_of, files_of, folders_of, is_picture
from faster_rcnn.data.layout.listing import SPLITS, split_of
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.json_values import shortened
from faster_rcnn.parsing.text import read_text
from faster_rcnn.parsing.values import cut, first_of, is_text
from faster_rcnn.parsing.yaml_values import composed, place_of, text_value

_NOTHING = ("", "~", "null", "none")


@dataclass(frozen=True, slots=True, eq=False)
class Description:
    """The content of a ``data.yaml``, each value as it is written."""

    file: Path
    root: Path
    """The folder where its paths start."""
    base: str
    """The value of ``path``."""
    splits: dict[str, tuple[str, ...]]
    """Paths or patterns by split."""
    names: object
    """A list of class names, a mapping from ids, or a file of names."""
    count: object
    """The number of classes that it declares (``nc``)."""
    keypoints: object
    """The value of ``kpt_shape``."""


def describe(file: Path) -> Description:
    """Read a description: a YAML file, darknet's ``obj.data``, or a list of class names.

    Raises:
        DatasetError: the file cannot be read (E102), or it names a split twice or not as paths (E103).
    """
    ending = file.suffix.lower()
    if ending in (".yaml", ".yml"):
        return description_of(file, load_yaml(file))
    if ending == ".data":
        return description_of(file, load_darknet(file))
    root = file.parent.parent if file.parent.name.lower() == "labels" else file.parent
    return Description(file, root, ".", usual_splits(root), str(file), None, None)


def description_of(file: Path, content: dict[str, Any]) -> Description:
    """The description that the keys of a YAML file or of darknet's ``obj.data`` are; raises E103 as ``describe``."""
    count = content.get("classes" if file.suffix.lower() == ".data" else "nc")
    return Description(
        file=file,
        root=file.parent,
        base=_text(content.get("path")) or ".",
        splits=_splits(content, file),
        names=content.get("names"),
        count=count,
        keypoints=content.get("kpt_shape"),
    )


def load_yaml(description: Path) -> dict[str, Any]:
    """Read a YAML file with every value as text; empty where it holds something other than keys. Raises E102."""
    try:
        root = composed(read_text(description))
        content = None if root is None else text_value(root)
    except yaml.YAMLError as error:
        raise DatasetError(f"{description} is not valid YAML{place_of(error)}", code="E102") from error
    return content if isinstance(content, dict) else {}


def load_darknet(file: Path) -> dict[str, Any]:
    """Read ``key = value`` lines, as darknet writes ``obj.data``; raises E103 for a key with two values."""
    found: dict[str, str] = {}
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        key, separator, value = (part.strip() for part in line.partition("="))
        if not separator or key.startswith("#"):
            continue
        if found.setdefault(key.lower(), value) != value:
            raise DatasetError(f"{file} line {number}: '{cut(key)}' has another value above; remove one", code="E103")
    return found


def _text(value: object) -> str:
    return "" if not isinstance(value, str) or value.strip().lower() in _NOTHING else value.strip()


def _splits(content: dict[str, Any], file: Path) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for key, value in content.items():
        split = SPLITS.get(str(key).lower())
        parts = value if isinstance(value, list) else [value]
        if split is None or not any(parts):
            continue
        if not all(isinstance(part, str) for part in parts):
            raise DatasetError(
                f"{file} has no path at '{key}', but {shortened(value)}; write '{key}: FOLDER'", code="E103"
            )
        texts = tuple(text for part in parts if (text := _text(part)))
        if texts and found.setdefault(split, texts) != texts:
            raise DatasetError(
                f"{file} names {split} twice, as {cut(found[split][0])} and as '{key}: {cut(texts[0])}'; remove one",
                code="E103",
            )
    return {split: texts for split, texts in found.items() if texts}


def usual_splits(root: Path) -> dict[str, tuple[str, ...]]:
    """Lists or folders with the names of splits, where no file describes them; else all images are for training."""
    images = child(root, "images")
    lists = [file for file in files_of(root, ".txt") if file.stem.lower() in SPLITS]
    inner = [entry for entry in folders_of(images or root) if split_of(entry.name)]
    outer = [entry for entry in folders_of(root) if split_of(entry.name)]
    found: dict[str, tuple[str, ...]] = {}
    for entry in next((entries for entries in (lists, inner, outer) if entries), []):
        split = split_of(entry.stem) or "train"
        found[split] = (*found.get(split, ()), entry.relative_to(root).as_posix())
    if images is None and not found and not any(is_picture(entry.name) for entry in entries_of(root)):
        return {}
    return found or {"train": ("." if images is None else images.name,)}


def _is_count(written: object) -> bool:
    """Whether a key or a value is a small non-negative integer, such as a class number."""
    return len(text := str(written)) < 10 and text.isdecimal()


def class_names(description: Description) -> tuple[tuple[int, str], ...]:
    """Ids and names of the classes; ``names`` is a list, a mapping from ids, or a file with one name per line.

    Raises:
        DatasetError: there are no names (E103), a name is repeated (E113), or their number is not ``nc`` (E111).
    """
    names = description.names
    if isinstance(names, str):
        names = _names_in(names, description)
    pairs = (
        list(names.items()) if isinstance(names, dict) else list(enumerate(names if isinstance(names, list) else []))
    )
    if not pairs or not all(_is_count(number) for number, _ in pairs):
        example = f" (found: {first_of((f'{key}: {name}' for key, name in pairs), 2)})" if pairs else ""
        raise DatasetError(
            f"{description.file} needs 'names', a list of class names, or names by class number{example}", code="E103"
        )
    unusable = [number for number, name in pairs if not isinstance(name, str) or not name.strip() or not is_text(name)]
    if unusable:
        raise DatasetError(f"{description.file}: class {unusable[0]} has no name in 'names'; write one", code="E103")
    repeated = [name for name, count in Counter(name for _, name in pairs).items() if count > 1]
    if repeated:
        numbers = first_of(number for number, name in pairs if name == repeated[0])
        raise DatasetError(
            f"{description.file}: several classes have the name '{cut(repeated[0])}' (numbers {numbers}); give each "
            "its own",
            code="E113",
        )
    counts = {str(len(pairs)), str(max(int(number) for number, _ in pairs) + 1)}
    if description.count is not None and str(description.count) not in counts:
        raise DatasetError(
            f"{description.file} has nc: {cut(str(description.count))}, but lists {len(pairs)} names; correct the one "
            "that is wrong",
            code="E111",
        )
    return tuple(sorted((int(number), name) for number, name in pairs))


def _names_in(file: str, description: Description) -> list[str]:
    """The lines of a file of names; darknet's ``data/obj.names`` exists by its last part."""
    root = description.root
    steps = PurePosixPath(file.replace("\\", "/")).parts
    places = (Path(file), *(root.joinpath(*steps[start:]) for start in range(len(steps)) if steps[start] != "/"))
    found = next((place for place in places if os.path.isfile(place)), None)
    if found is None:
        raise DatasetError(
            f"{description.file} has names: {cut(file)}, and there is no such file; write the names as a list",
            code="E103",
        )
    lines = [line.strip() for line in read_text(found).split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def keypoint_shape(description: Description) -> KeypointShape | None:
    """``kpt_shape``: the number of keypoints after the box of each line, and the number of values of a keypoint.

    Raises:
        DatasetError: the value is no pair of such numbers (E103).
    """
    shape = description.keypoints
    if shape is None or (isinstance(shape, str) and not _text(shape)):
        return None
    if isinstance(shape, list) and len(shape) == 2 and all(map(_is_count, shape)):
        points, values = map(int, shape)
        if points > 0 and values in (2, 3):
            return KeypointShape(points, values)
    raise DatasetError(
        f"{description.file}: kpt_shape is {shortened(shape)}; it has to be [POINTS, 2] or [POINTS, 3]", code="E103"
    )
