"""Findings about images: absent, damaged, mislabelled or turned files, odd channels, and sizes that do not fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from faster_rcnn.checking.finding import Finding
from faster_rcnn.checking.pictures import Picture
from faster_rcnn.data.layout.folders import ENDINGS, Folders
from faster_rcnn.data.layout.listing import ListedImage, Listing
from faster_rcnn.parsing.values import cut
from faster_rcnn.structures import ImageSize

Redraw = Literal["upright", "stored", "renamed"]
"""How an image is written again: upright as RGB, with its stored pixels as RGB, or as it is with another ending."""

_LEFT_OUT = "the image is left out"
_KINDS_OF_CODES = {"damaged": "image.damaged", "E119": "image.values", "E120": "image.too-large"}
_USUAL = ("grey", "palette", "alpha removed")
"""Conversions that every tool does alike."""


@dataclass(frozen=True, slots=True, eq=False)
class Usable:
    """An image that can be used, perhaps after it is written again."""

    image: ListedImage
    size: ImageSize
    """Size in which its boxes are drawn."""
    picture: Picture
    redraw: Redraw | None


def judge_images(
    listing: Listing, pictures: Mapping[Path, Picture], folders: Folders
) -> tuple[list[Usable], list[Finding]]:
    """The usable images of a split, and findings about all of them."""
    usable, findings = [], []
    for image in listing.images:
        fault = _absent(image, listing.split, folders)
        picture = pictures.get(image.path)
        if fault is None and picture is not None:
            fault = _unusable(image, listing.split, picture)
        if fault is not None or picture is None or picture.size is None:
            findings += [fault] if fault is not None else []
            continue
        redraw, found = _odd(image, listing.split, picture)
        findings += found
        if (turned := _turned(image, picture)) is not None:
            usable.append(Usable(image, turned, picture, "stored"))
        else:
            usable.append(Usable(image, picture.size, picture, redraw))
    return usable, findings


def _absent(image: ListedImage, split: str, folders: Folders) -> Finding | None:
    if not folders.has(image.path):
        value = f"does not exist{folders.hint(image.path)}"
        return Finding("image.missing", split, image.file_name, image.annotation, value, _LEFT_OUT)
    if image.fault is not None:
        kind = "image.size-differs" if image.fault.code == "E106" else "image.labels-unreadable"
        return Finding(kind, split, image.file_name, image.annotation, image.fault.text, _LEFT_OUT, image.path)
    return None


def _unusable(image: ListedImage, split: str, picture: Picture) -> Finding | None:
    if picture.fault is not None:
        kind = _KINDS_OF_CODES.get(picture.fault[0], "image.undecodable")
        return Finding(kind, split, image.file_name, "", picture.fault[1], _LEFT_OUT, image.path)
    if image.size is None or image.size == picture.size or _turned(image, picture) is not None:
        return None
    value = f"{_size(picture.size)}, but {image.annotation} has {_size(image.size)}"
    return Finding("image.size-differs", split, image.file_name, image.annotation, value, _LEFT_OUT, image.path)


def _turned(image: ListedImage, picture: Picture) -> ImageSize | None:
    """The stored size of an image whose boxes are drawn on the pixels as stored."""
    if picture.size is None or picture.orientation < 5 or image.size is None or image.size == picture.size:
        return None
    stored = ImageSize(picture.size.width, picture.size.height)
    return stored if image.size == stored else None


def _odd(image: ListedImage, split: str, picture: Picture) -> tuple[Redraw | None, list[Finding]]:
    """How an unusual image is written again, and findings about it."""
    conversions = [word for word in (picture.conversion or "").split(", ") if word not in ("", "EXIF rotation")]
    unusual = [word for word in conversions if word not in _USUAL]
    found = list(_about_type(image, split, picture))
    redraw: Redraw | None = "renamed" if found else None
    if picture.orientation > 1:
        turned = _turned(image, picture)
        kind = "image.orientation" if turned is None else "image.turned-boxes"
        change = "saved upright as PNG" if turned is None else "its stored pixels are saved as PNG, without the tag"
        value = f"EXIF orientation {picture.orientation}"
        value += "" if turned is None else f"; {image.annotation} has the stored size {_size(turned)}"
        found.append(Finding(kind, split, image.file_name, "", value, change, image.path))
        redraw = "upright"
    if unusual:
        change = "saved as PNG in 8-bit RGB"
        found.append(Finding("image.channels", split, image.file_name, "", unusual[0], change, image.path))
        redraw = "upright"
    elif conversions:
        found.append(Finding("image.converted", split, image.file_name, "", conversions[0], path=image.path))
    if picture.remark is not None:
        found.append(Finding("image.decoder", split, image.file_name, "", cut(picture.remark, 200), path=image.path))
    return redraw, found


def _about_type(image: ListedImage, split: str, picture: Picture) -> Iterator[Finding]:
    endings = ENDINGS.get(picture.type)
    suffix = image.path.suffix.lower()
    if endings is not None and suffix not in endings and any(suffix in each for each in ENDINGS.values()):
        change = f"copied with the ending {endings[0]}"
        yield Finding("image.type", split, image.file_name, "", f"its content is {picture.type}", change, image.path)


def _size(size: ImageSize | None) -> str:
    return "unknown" if size is None else f"{size.width}x{size.height}"
