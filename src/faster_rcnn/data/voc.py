"""PASCAL VOC: one XML per image, and lists of image names per split under ``ImageSets``.

Genuine VOC counts pixels from 1 and includes the last one, so ``x1 = xmin - 1`` and ``x2 = xmax`` in continuous pixels
(width = xmax - xmin + 1). Files that count from 0 and mean edges are read with ``voc_offset`` 0, which takes all four
numbers as they are. ``difficult`` objects are ignored regions.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from faster_rcnn.data.folders import IMAGE_SUFFIXES, Folders, child, entries_of, files_of, image_root
from faster_rcnn.data.listing import ListedBox, ListedImage, Listing, split_of
from faster_rcnn.errors import DatasetError
from faster_rcnn.structures import ImageSize

FORMAT = "VOC XML"
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def find_lists(root: Path) -> dict[str, Path]:
    """Lists of image names by split: ``ImageSets/Main/train.txt``; VOC's ``trainval`` only where nothing else is."""
    sets = child(root, "ImageSets")
    if sets is None or find_annotations(root) is None:
        return {}
    files = files_of(child(sets, "Main") or sets, ".txt")
    # Only whole names: VOC also has a list per class, such as cat_train.txt.
    lists = {file.stem.lower(): file for file in files if file.stem.lower() in ("train", "val", "test")}
    trainval = child(files[0].parent, "trainval.txt") if files else None
    return lists or ({"train": trainval} if trainval is not None else {})


def find_folders(root: Path) -> dict[str, Path]:
    """Folders of XML files by split: ``train/`` and ``test/``; else ``Annotations/`` or the folder itself, as train."""
    folders = {
        split: entry for entry in entries_of(root) if (split := split_of(entry.name)) and files_of(entry, ".xml")
    }
    if folders:
        return folders
    annotations = find_annotations(root) or (root if files_of(root, ".xml") else None)
    return {"train": annotations} if annotations is not None else {}


def find_annotations(root: Path) -> Path | None:
    """The folder of XML files beside ``ImageSets``; none where there is no XML in it."""
    folder = child(root, "Annotations", "xmls")
    return folder if folder is not None and files_of(folder, ".xml") else None


def read(source: Path, split: str, images: Path | None, folders: Folders, offset: int) -> Listing:
    """Read one split: a list of names (``.txt``) or a whole folder of XML files.

    Raises:
        DatasetError: the XML is another tool's (E103), or a list names nothing (E115).
    """
    if source.is_dir():
        annotations, names = source, [file.stem for file in files_of(source, ".xml")]
    else:
        annotations, names = _annotations_of(source), _names_in(source)
    roots = [images] if images is not None else _image_folders(annotations)
    # Ask for a sample under every ending: the names in a list have none.
    sample = {f"{name}{ending}" for name in names[:50] for ending in (".jpg", ".png", ".jpeg", ".JPG", ".bmp", ".tif")}
    root = image_root(sorted(sample), roots, folders)
    by_stem = {Path(name).stem: name for name in folders.images(root)}
    listed = [
        _image(annotations / f"{name}.xml", root, by_stem, folders, number)
        for number, name in enumerate(sorted(set(names)), start=1)
    ]
    notes = [f"voc_offset {offset}: {_offset_text(offset)}", *_from_zero(listed, offset)]
    shared = root != source and split_of(source.name) is not None  # train/ and test/ may share a folder of images
    if source.is_dir() and not shared:
        notes += _unannotated(root, names, by_stem)
    return Listing(FORMAT, split, source, tuple(listed), "xyxy", offset=float(offset), notes=tuple(notes))


def _offset_text(offset: int) -> str:
    if offset == 0:
        return "box corners are taken as they are"
    return (
        f"pixels are counted from {offset}, so {offset} is subtracted from xmin and ymin "
        "(files that count from 0: --set data.voc_offset=0)"
    )


def _from_zero(images: Iterable[ListedImage], offset: int) -> list[str]:
    """Evidence that files count from 0 although they are read as counting from 1."""
    boxes = [box for image in images for box in image.boxes if {"0", "0.0"} & set(map(str, box.written[:2]))]
    if not boxes or offset == 0:
        return []
    return [f"xmin or ymin is 0 in {len(boxes)} boxes: these files seem to count from 0: --set data.voc_offset=0"]


def _annotations_of(source: Path) -> Path:
    for folder in source.parents[:3]:
        annotations = find_annotations(folder)
        if annotations is not None:
            return annotations
    raise DatasetError(
        f"{source} is a list of names, but there is no folder Annotations with XML files beside or above it",
        code="E101",
    )


def _names_in(source: Path) -> list[str]:
    """Image names of a list; a second column (VOC's per-class lists) is not ours."""
    lines = [line.split() for line in source.read_text(encoding="utf-8-sig").splitlines()]
    names = [words[0] for words in lines if words]
    return [Path(name).stem if Path(name).suffix.lower() in IMAGE_SUFFIXES else name for name in names]


def _image_folders(annotations: Path) -> list[Path]:
    up = annotations.parent
    found = [child(base, "JPEGImages", "images", "img") for base in (up, annotations, up.parent)]
    return [folder for folder in found if folder is not None] + [annotations, up]


def _unannotated(root: Path, names: Iterable[str], by_stem: dict[str, str]) -> list[str]:
    extra = sorted(by_stem[stem] for stem in by_stem.keys() - set(names))
    if not extra:
        return []
    more = f" and {len(extra) - 5} more" if len(extra) > 5 else ""
    return [
        f"images in {root.name} that have no XML and are not used: {len(extra)} ({', '.join(extra[:5])}{more}); "
        "an image without objects needs an XML without <object>"
    ]


def _image(source: Path, root: Path, by_stem: dict[str, str], folders: Folders, number: int) -> ListedImage:
    """One image: of the XML's own name, else of its ``<filename>``, which many tools leave stale."""
    name = f"{source.parent.name}/{source.name}"
    tree, fault = _parse(source, name)
    stated = "" if tree is None else (tree.findtext("filename") or "").strip()
    file_name = by_stem.get(source.stem) or (stated if stated and folders.has(root / stated) else None)
    file_name = file_name or (f"{source.stem}{Path(stated).suffix}" if stated else f"{source.stem}.jpg")
    boxes = () if tree is None else tuple(_boxes(tree))
    size = None if tree is None else _size(tree)
    return ListedImage(file_name, root / file_name, number, size, boxes, name, fault)


def _parse(source: Path, name: str) -> tuple[ElementTree.Element | None, str | None]:
    """The root of an XML, or why there is none; another tool's XML stops everything."""
    try:
        root = ElementTree.parse(source).getroot()
    except FileNotFoundError:
        return None, f"E104 {name} does not exist"
    except ElementTree.ParseError as error:
        line, column = error.position
        return None, f"E102 {name} is not valid XML at line {line} column {column + 1}"
    if root.tag != "annotation" or root.find("object/polygon") is not None:
        tool = "a CVAT file" if root.tag == "annotations" else f"XML of another kind (<{root.tag}>)"
        tool = "a LabelMe file with polygons" if root.tag == "annotation" else tool
        raise DatasetError(f"{source} is {tool}, not VOC; export it as VOC XML, COCO JSON or YOLO", code="E103")
    return root, None


def _size(tree: ElementTree.Element) -> ImageSize | None:
    """The size it claims; many tools write none, or zeros."""
    try:
        size = ImageSize(*(int(float(tree.findtext(f"size/{side}") or 0)) for side in ("height", "width")))
    except ValueError:
        return None
    return size if min(size) > 0 else None


def _boxes(tree: ElementTree.Element) -> Iterable[ListedBox]:
    """Boxes of the objects; the ``<part>`` of a person has a box of its own, which is none of ours."""
    for number, item in enumerate(tree.findall("object"), start=1):
        name = (item.findtext("name") or "").strip()
        yield ListedBox(
            where=f"object {number} ('{name}')",
            written=tuple((item.findtext(f"bndbox/{corner}") or "").strip() for corner in _CORNERS),
            category=name,
            ignored=(item.findtext("difficult") or "0").strip() not in ("0", ""),
        )
