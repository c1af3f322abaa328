"""YOLO: a ``data.yaml`` with class names and image folders, and one text file of boxes per image.

Each line of a label file is ``class cx cy width height`` in shares of the image's width and height, counted from 0.
A longer line holds a polygon, of which the enclosing box is taken. The label file of ``.../images/a.jpg`` is
``.../labels/a.txt``; an empty one means an image without objects, an absent one is a fault.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from faster_rcnn.data.folders import IMAGE_SUFFIXES, Folders, files_of
from faster_rcnn.data.listing import SPLITS, ListedBox, ListedImage, Listing
from faster_rcnn.errors import DatasetError

FORMAT = "YOLO"


def find_description(root: Path) -> Path | None:
    """The YAML file that describes the data: ``data.yaml``, or the only one with ``names`` in it."""
    files = files_of(root, ".yaml") + files_of(root, ".yml")
    named = [file for file in files if file.stem.lower() in ("data", "dataset")]
    return next((file for file in named + files if "names" in _load(file)), None)


def find_splits(description: Path) -> dict[str, list[Path]]:
    """Image folders, or text files of image names, by split.

    Raises:
        DatasetError: a path of the YAML does not exist (E101).
    """
    content = _load(description)
    found: dict[str, list[Path]] = {}
    for key, value in content.items():
        if key in SPLITS and value:
            parts = value if isinstance(value, list) else [value]
            found[SPLITS[key]] = [_resolve(str(part), content, description, key) for part in parts]
    return found


def _load(description: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(description.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1} column {mark.column + 1}" if mark is not None else ""
        raise DatasetError(f"{description} is not valid YAML{place}", code="E102") from error
    return content if isinstance(content, dict) else {}


def _resolve(part: str, content: dict[str, Any], description: Path, key: str) -> Path:
    """A path of the YAML; written for another folder by many tools, it is also tried without its first steps."""
    here = description.parent
    base = here / str(content.get("path") or ".")
    inner = part
    while inner.startswith("../"):
        inner = inner[3:]
    for candidate in (base / part, here / part, here / inner):
        if candidate.exists():
            return candidate
    raise DatasetError(
        f"{base / part} does not exist (from '{key}: {part}' in {description}); correct the path there, "
        f"or give the folder: --set data.{SPLITS[key]}=FOLDER. Nothing was downloaded",
        code="E101",
    )


def class_names(description: Path) -> tuple[tuple[int, str], ...]:
    """Ids and names of the classes; ``names`` is a list, or a mapping from ids.

    Raises:
        DatasetError: there are none, or their number is not ``nc`` (E111).
    """
    content = _load(description)
    names = content.get("names")
    pairs = (
        list(names.items()) if isinstance(names, dict) else list(enumerate(names if isinstance(names, list) else []))
    )
    if not pairs or not all(str(number).isdecimal() for number, _ in pairs):
        raise DatasetError(f"{description} needs 'names', a list of class names", code="E103")
    if content.get("nc") not in (None, len(pairs)):
        raise DatasetError(
            f"{description} says nc: {content['nc']}, but lists {len(pairs)} names; correct the one that is wrong",
            code="E111",
        )
    return tuple(sorted((int(number), str(name)) for number, name in pairs))


def read(sources: list[Path], split: str, description: Path, images: Path | None, folders: Folders) -> Listing:
    """Read one split from its image folders or lists.

    Raises:
        DatasetError: a label line holds a detection (E103), or a class that is not named (E111).
    """
    categories = class_names(description)
    paths = sorted({path for source in sources for path in _images_of(source, images, folders)})
    root = description.parent
    listed = tuple(_image(path, root, folders, number) for number, path in enumerate(paths, start=1))
    _refuse_unknown_classes(listed, categories, description)
    return Listing(FORMAT, split, sources[0], listed, "cxcywh", categories)


def _images_of(source: Path, images: Path | None, folders: Folders) -> list[Path]:
    if source.is_dir():
        below = [source, *sorted(folder for folder in source.rglob("*") if folder.is_dir())]
        return [folder / name for folder in below for name in folders.images(folder)]
    lines = source.read_text(encoding="utf-8-sig").splitlines()
    base = images or source.parent
    return [base / line.strip() for line in lines if Path(line.strip()).suffix.lower() in IMAGE_SUFFIXES]


def _label_file(image: Path, folders: Folders) -> Path:
    """Where the boxes of an image stand: its last folder called images becomes labels; else beside the image."""
    parts = list(image.with_suffix(".txt").parts)
    places = [position for position, part in enumerate(parts[:-1]) if part == "images"]
    if not places:
        beside = image.with_suffix(".txt")
        sibling = image.parent.parent / "labels" / beside.name
        return sibling if not folders.has(beside) and folders.has(sibling) else beside
    parts[places[-1]] = "labels"
    return Path(*parts)


def _image(path: Path, root: Path, folders: Folders, number: int) -> ListedImage:
    label_file = _label_file(path, folders)
    name, label_name = (_relative(part, root) for part in (path, label_file))
    if not folders.has(label_file):
        fault = f"E104 {name} has no label file {label_name} (an image without objects needs an empty one)"
        return ListedImage(name, path, number, None, (), label_name, fault)
    lines = label_file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    boxes = [_box(line.split(), position, label_file) for position, line in enumerate(lines, start=1) if line.strip()]
    return ListedImage(name, path, number, None, tuple(boxes), label_name)


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _box(words: list[str], line: int, source: Path) -> ListedBox:
    if len(words) == 6:
        raise DatasetError(
            f"{source} line {line} has 6 values: it looks like detections with a score; "
            "a label line is 'class cx cy width height'",
            code="E103",
        )
    category = int(float(words[0])) if _is_number(words[0]) else words[0]
    polygon = len(words) >= 7 and len(words) % 2 == 1
    return ListedBox(f"line {line}", _enclosing(words[1:]) if polygon else tuple(words[1:]), category)


def _enclosing(polygon: list[str]) -> tuple[object, ...]:
    """The box around a polygon ``x1 y1 x2 y2 ...``, as centre and size."""
    if not all(_is_number(word) for word in polygon):
        return tuple(polygon[:4])
    xs, ys = [float(word) for word in polygon[::2]], [float(word) for word in polygon[1::2]]
    return (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2, max(xs) - min(xs), max(ys) - min(ys)


def _is_number(word: str) -> bool:
    try:
        return float(word) == float(word)
    except ValueError:
        return False


def _refuse_unknown_classes(
    images: tuple[ListedImage, ...], categories: tuple[tuple[int, str], ...], description: Path
) -> None:
    known = {number for number, _ in categories}
    for image in images:
        for box in image.boxes:
            if box.category not in known:
                raise DatasetError(
                    f"{image.annotation} {box.where}: class {box.category}, but {description.name} names "
                    f"{len(known)} classes ({min(known)}-{max(known)}); "
                    f"add the name to {description.name} or correct the line",
                    code="E111",
                )
