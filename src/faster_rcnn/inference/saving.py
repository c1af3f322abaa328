"""Predictions as data sets, as files of labelling tools, and as crops (``predict --save``)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from PIL import Image

from faster_rcnn.data.converting import WRITERS, names_in_folders, write_data_set
from faster_rcnn.data.formats.written import WrittenBox, WrittenImage, number
from faster_rcnn.errors import OptionError
from faster_rcnn.inference.label_studio import LabelledBox, prediction
from faster_rcnn.inference.limits import names_in
from faster_rcnn.inference.result import Prediction
from faster_rcnn.inference.sources import is_pipe
from faster_rcnn.structures import ClassMap, ImageSize
from faster_rcnn.system.atomic import as_machine_error, atomic_write

SPLIT = "test"
"""The split of a data set of predictions."""
LABEL_STUDIO, CVAT, CROPS = "label-studio", "cvat", "crops"
FORMATS = (*WRITERS, LABEL_STUDIO, CVAT, CROPS)
"""Formats by their names on the command line."""
FILES = {LABEL_STUDIO: "label-studio.json", CVAT: "cvat.xml"}
JPEG_QUALITY = 95


def formats_of(given: str | None) -> tuple[str, ...]:
    """The formats of ``--save coco,crops``; raises ``OptionError`` (E125) for one that does not exist."""
    return () if given is None else names_in("--save", given, FORMATS, "format")


@dataclass(frozen=True, slots=True)
class _Found:
    """The detections of one image file."""

    path: Path
    size: ImageSize
    boxes: tuple[WrittenBox, ...]


class Saver:
    """Collects the detections of all images, and writes them at the end; crops are written image by image."""

    def __init__(self, folder: Path, formats: Sequence[str], images: Sequence[str], classes: ClassMap) -> None:
        """Nothing is written yet.

        Args:
            folder: that of the outputs; each format has a folder or a file of its own in it.
            formats: some of ``FORMATS``.
            images: names of all images, which must be files.
            classes: those of the detector.

        Raises:
            OptionError: the folder holds outputs of this kind already (E132), or an image is piped in.
        """
        self.folder, self.formats, self.classes = folder, tuple(formats), classes
        self._found: list[_Found] = []
        piped = next((name for name in images if is_pipe(name)), None)
        if piped is not None:
            raise OptionError(
                f"--save {','.join(formats)}: {piped} is no file, which the format would name; give a file"
            )
        for option, target in places_of(folder, formats).items():
            if target.exists():
                raise OptionError(
                    f"{option}: {target} is there already; remove it, or name another folder with --out",
                    code="E132",
                )

    def add(self, line: Mapping[str, Any]) -> None:
        """Take the detections of one image, as ``Result.to_json`` gives them."""
        labels = {class_id: label for label, class_id in enumerate(self.classes.ids)}
        boxes = []
        for each in line["detections"]:
            x1, y1, x2, y2 = each["box"]
            box = WrittenBox(x1, y1, x2 - x1, y2 - y1, labels[each["label_id"]], score=each["score"])
            boxes.append(box)
        self._found.append(_Found(Path(line["image"]), ImageSize(line["height"], line["width"]), tuple(boxes)))

    def save_crops(self, image: int, prediction: Prediction) -> None:
        """Write what lies within each box of an image as a JPEG, in a folder for each class.

        ``image`` is the number of the image, counted from 0; it begins the names, as images may have equal ones.
        """
        result = prediction.result
        assert result.path is not None  # pipes were refused
        for place, (label, box) in enumerate(zip(result.names, result.boxes.tolist(), strict=True), start=1):
            x1, y1, x2, y2 = _whole_pixels(box, result.size)
            picture = Image.fromarray(prediction.pixels[:, y1:y2, x1:x2].permute(1, 2, 0).numpy())
            target = (
                self.folder / CROPS / quote(label, safe=" ") / f"{image + 1:06}-{place}-{result.path.stem[:100]}.jpg"
            )
            with as_machine_error(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                picture.save(target, quality=JPEG_QUALITY, subsampling=0)

    def finish(self) -> list[str]:
        """Write all formats; returns lines on what a format cannot hold."""
        notes: list[str] = []
        for each in self.formats:
            if each in WRITERS:
                notes += self._write_data_set(each)
        self.folder.mkdir(parents=True, exist_ok=True)
        if LABEL_STUDIO in self.formats:
            with atomic_write(self.folder / FILES[LABEL_STUDIO]) as temporary:
                temporary.write_text(json.dumps(self._tasks(), ensure_ascii=False, indent=1), encoding="utf-8")
        if CVAT in self.formats:
            tree = ElementTree.ElementTree(self._cvat())
            ElementTree.indent(tree)
            with atomic_write(self.folder / FILES[CVAT]) as temporary:
                tree.write(temporary, encoding="utf-8", xml_declaration=True)
        return notes

    def _write_data_set(self, name: str) -> list[str]:
        writer, paths = WRITERS[name], {SPLIT: [each.path for each in self._found]}
        names, notes = names_in_folders(paths, writer)
        images = [
            WrittenImage(file_name, place, each.size, each.boxes)
            for place, (file_name, each) in enumerate(zip(names[SPLIT], self._found, strict=True), start=1)
        ]
        return [*notes, *write_data_set(self.folder / name, writer, {SPLIT: images}, paths, self.classes)]

    def _tasks(self) -> list[dict[str, Any]]:
        """Tasks of Label Studio with predictions."""
        return [
            {
                "data": {"image": f"/data/local-files/?d={quote(each.path.as_posix().lstrip('/'))}"},
                "predictions": [prediction("faster-rcnn", each.size, self._labelled(each))],
            }
            for each in self._found
        ]

    def _labelled(self, found: _Found) -> Iterator[LabelledBox]:
        for place, box in enumerate(found.boxes, 1):
            xywh = box.x, box.y, box.width, box.height
            yield LabelledBox(place, xywh, box.score or 0.0, self.classes.name_of(box.label))

    def _cvat(self) -> Element:
        """The element ``annotations`` of CVAT's format for images, version 1.1."""
        root = Element("annotations")
        SubElement(root, "version").text = "1.1"
        labels = SubElement(SubElement(SubElement(root, "meta"), "job"), "labels")
        for name in filter(None, self.classes.names):
            SubElement(SubElement(labels, "label"), "name").text = name
        for place, each in enumerate(self._found):
            size = {"width": str(each.size.width), "height": str(each.size.height)}
            image = SubElement(root, "image", {"id": str(place), "name": each.path.as_posix(), **size})
            for box in each.boxes:
                corners = zip(("xtl", "ytl", "xbr", "ybr"), map(number, box.corners), strict=True)
                label = {"label": self.classes.name_of(box.label), "source": "auto", "occluded": "0"}
                SubElement(image, "box", {**label, **dict(corners), "z_order": "0"})
        return root


def places_of(folder: Path | None, formats: Sequence[str]) -> dict[str, Path]:
    """The file or folder of each format, by the option that asks for it; none without a folder."""
    return {} if folder is None else {f"--save {each}": folder / FILES.get(each, each) for each in formats}


def saver_for(folder: Path | None, formats: Sequence[str], images: Sequence[str], classes: ClassMap) -> Saver | None:
    """What writes some formats into a folder; ``None`` where there is nothing to write."""
    return Saver(folder, formats, images, classes) if formats and folder is not None else None


def _whole_pixels(box: Sequence[float], size: ImageSize) -> tuple[int, int, int, int]:
    """The pixels that a box touches, at least one along each axis."""
    x1, y1 = min(int(box[0]), size.width - 1), min(int(box[1]), size.height - 1)
    return x1, y1, min(max(ceil(box[2]), x1 + 1), size.width), min(max(ceil(box[3]), y1 + 1), size.height)
