"""Class names for weights that come without them."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

from faster_rcnn.errors import DatasetError, ModelFileError
from faster_rcnn.parsing.text import read_text_argument
from faster_rcnn.parsing.values import cut
from faster_rcnn.structures import ClassMap

UNUSED = "N/A"
"""Mark of the ids without a class in lists of COCO's names."""


def coco_classes() -> ClassMap:
    """COCO's ids 1..90, as torchvision's weights number them; ten of them have no name and are never reported."""
    _, *names = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    return _numbered(names)


def coco_80_classes() -> ClassMap:
    """COCO's 80 classes, as Detectron2's weights number them: every label has a name, and the ids have gaps."""
    all_90 = coco_classes()
    known = [(name, number) for name, number in zip(all_90.names, all_90.ids, strict=True) if name is not None]
    return ClassMap(tuple(name for name, _ in known), tuple(number for _, number in known))


def object_class() -> ClassMap:
    """The only class of a detector that is a region proposal network alone."""
    return ClassMap(("object",), (1,))


def read_classes(text: str | None, count: int, published: ClassMap) -> ClassMap:
    """Read the ``count`` class names of a model, background not counted.

    ``text`` is names separated by commas, or a file with one name per line; for ``None`` the classes are those of the
    ``published`` weights of the layout. Ids are 1, 2, ... in that order. Raises ``ModelFileError`` (E123) where the
    number of names is not ``count``, or a name occurs twice.
    """
    if text is None:
        if count != len(published):
            raise ModelFileError(
                f"the file has {_classes(count)} without names and COCO has {len(published)}; name them with "
                "--classes a,b,c or --classes FILE",
                code="E123",
            )
        return published
    names = _names(text)
    if len(names) != count:
        raise ModelFileError(
            f"--classes {cut(text)} names {_classes(len(names))}, the file has {count}, background not counted",
            code="E123",
        )
    twice = [name for name, times in Counter(names).items() if times > 1 and name != UNUSED]
    if twice:
        raise ModelFileError(
            f"--classes {cut(text)} names '{cut(twice[0])}' twice; each class needs its own name", code="E123"
        )
    return _numbered(names)


def _names(text: str) -> list[str]:
    if not os.path.exists(text) or os.path.isdir(text):
        if "," not in text and Path(text).suffix in {".txt", ".names"}:
            raise ModelFileError(f"there is no file '{text}' for --classes", code="E123")
        return [name.strip() for name in text.split(",") if name.strip()]
    try:
        lines = read_text_argument(Path(text)).split("\n")
    except DatasetError as error:
        raise ModelFileError(f"--classes: {error.text}", code="E123") from error
    return [line.strip() for line in lines if line.strip()]


def _numbered(names: list[str]) -> ClassMap:
    known = tuple(None if name == UNUSED else name for name in names)
    return ClassMap(known, tuple(range(1, len(names) + 1)))


def _classes(count: int) -> str:
    return "1 class" if count == 1 else f"{count} classes"
