"""Small pictures of findings and of labelled images, for the page of ``check``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from faster_rcnn.checking.finding import Finding
from faster_rcnn.data.decode import decode_image
from faster_rcnn.data.records import ImageRecord, Split, evenly_spread
from faster_rcnn.errors import ImageError
from faster_rcnn.explanation.gallery_crops import crop_picture
from faster_rcnn.images import size_of
from faster_rcnn.reporting.drawing.boxes import draw_boxes
from faster_rcnn.structures import ClassMap

SIDE = 176
"""Width and height in which a picture of a finding fits."""
SAMPLE = 300
"""Length of the longer side of a labelled image."""
MAX_TILES, MAX_SAMPLES = 8, 12
"""Pictures of each kind of finding, and of each split."""


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """A picture with its caption."""

    picture: Image.Image
    caption: str
    description: str
    """What it shows, for people who do not see it."""


def finding_tiles(findings: Sequence[Finding], max_pixels: int) -> list[Tile]:
    """Pictures of some findings of one kind: the box with its surroundings, the pair of images, or the whole image."""
    pictured = [each for each in findings if each.path is not None]
    tiles = []
    for finding in evenly_spread(pictured, MAX_TILES):
        picture = _picture(finding, max_pixels)
        if picture is not None:
            name = Path(finding.file).name
            tiles.append(Tile(picture, f"{finding.split} {name}", f"{name}: {finding.about.title}"))
    return tiles


def sample_tiles(split: Split, max_pixels: int) -> list[Tile]:
    """Images of a split with their boxes, spread evenly over it."""
    return list(_samples(evenly_spread(split.records, MAX_SAMPLES), split.classes, max_pixels))


def _samples(records: Sequence[ImageRecord], classes: ClassMap, max_pixels: int) -> Iterator[Tile]:
    for record in records:
        try:
            pixels = decode_image(record.path, max_pixels).pixels
        except ImageError:  # it was decoded a moment ago; a file that is removed meanwhile has no picture
            continue
        truth = record.truth
        if size_of(pixels) != record.size:  # boxes on the stored pixels of a turned image
            continue
        scale = SAMPLE / max(record.size)
        picture = draw_boxes(pixels, truth.boxes, truth.labels.tolist(), classes, scale=scale)
        count = len(truth.labels)
        yield Tile(picture, f"{record.path.name}, {count}", f"{record.path.name} with {count} labelled boxes")


def _picture(finding: Finding, max_pixels: int) -> Image.Image | None:
    """The picture of a finding; ``None`` where its image cannot be decoded."""
    try:
        pixels = decode_image(finding.path, max_pixels).pixels if finding.path is not None else None
        if pixels is None:
            return None
        if finding.box is not None:
            return crop_picture(pixels, finding.box, None, finding.box)
        first = _small(pixels, SIDE)
        if finding.other is None:
            return first
        return _beside(first, _small(decode_image(finding.other, max_pixels).pixels, SIDE))
    except ImageError:
        return None


def _small(pixels: torch.Tensor, side: int) -> Image.Image:
    picture = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    scale = side / max(picture.size)
    return picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))


def _beside(first: Image.Image, second: Image.Image) -> Image.Image:
    sheet = Image.new("RGB", (first.width + second.width + 4, max(first.height, second.height)), "white")
    sheet.paste(first, (0, 0))
    sheet.paste(second, (first.width + 4, 0))
    return sheet
