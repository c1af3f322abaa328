"""Pictures with boxes: made to be looked at, from thumbnails to photographs of 20 megapixels.

Lines and letters grow with the image. Each class keeps its colour in every picture. Tags lie outside their boxes where
there is room, inside the image always, and give way to each other; where they cannot, the box of lower score goes
without, as an unreadable heap says less than the colour does.
"""

from __future__ import annotations

import colorsys
import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from faster_rcnn.structures import ClassMap, Detections, GroundTruth

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

PALETTE = (
    0xE69F00, 0x56B4E9, 0x009E73, 0xF0E442, 0xD55E00, 0xCC79A7, 0x0072B2, 0xAA4499, 0x33E0D0, 0x1B5E20,
    0xF7C6A3, 0x882255, 0xFF2E93, 0x332288, 0x999933, 0xFF8A80, 0xB39DDB, 0xC8C8C8, 0x7A4B2A, 0xA6FF4D,
)  # fmt: skip
"""Seven colours that every kind of sight tells apart (Okabe and Ito, 2008), then others far from them."""

CROWDED = 12
"""With more boxes than this, a tag is no longer than its box is wide, as far as the name allows."""

COVERED = 0.1
"""A tag is left out where more than this share of it would cover other tags, or four times as much small boxes."""

RIM = (0, 0, 0, 90)
"""Dark and half transparent: keeps light colours visible on light ground, and neighbouring tags apart."""

WORLD_FONTS = ("DejaVuSans.ttf", "NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "msyh.ttc", "segoeui.ttf")
"""Tried in turn for names beyond ASCII, which Pillow's own font cannot write."""


class _Frame(NamedTuple):
    """A rectangle of whole pixels; right and bottom are the first ones outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def short_side(self) -> int:
        return min(self.right - self.left, self.bottom - self.top)

    @property
    def area(self) -> int:
        return (self.right - self.left) * (self.bottom - self.top)

    def shared(self, other: _Frame) -> int:
        """Pixels that lie in both."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(width, 0) * max(height, 0)


@dataclass(frozen=True, slots=True)
class _Tag:
    """A line of text on a filled ground."""

    frame: _Frame
    text: str
    letters: int
    colour: Colour


def colour_of(label: int) -> Colour:
    """The colour of a class: fixed for the first twenty, then hues a golden section apart."""
    if label < len(PALETTE):
        red, green, blue = PALETTE[label].to_bytes(3)
        return red, green, blue
    turn = (label * (math.sqrt(5) - 1) / 2) % 1.0
    strength = (1.0, 0.75, 0.55)[label % 3]
    red_, green_, blue_ = colorsys.hsv_to_rgb(turn, strength, 0.95)
    return round(red_ * 255), round(green_ * 255), round(blue_ * 255)


def draw_detections(
    pixels: UInt8[Tensor, "3 height width"],
    detections: Detections,
    classes: ClassMap,
    truth: GroundTruth | None = None,
    scale: float = 1.0,
) -> Image.Image:
    """A picture with what was found; truth, where given, is dashed in black and white under it.

    Args:
        pixels: RGB.
        detections: best first, in these pixels; all of them are drawn, the best on top.
        classes: names of the labels.
        truth: in these pixels.
        scale: how many times larger than ``pixels`` the picture is, so that tags on small images can be read.
    """
    labels = detections.labels.tolist()
    names = [classes.name_of(label) for label in labels]
    dashed = None if truth is None else truth.boxes
    return draw_boxes(pixels, detections.boxes, names, labels, detections.scores.tolist(), dashed, scale)


def draw_truth(
    pixels: UInt8[Tensor, "3 height width"], truth: GroundTruth, classes: ClassMap, scale: float = 1.0
) -> Image.Image:
    """A picture with what an annotator drew; ignored boxes are dashed."""
    kept = ~truth.ignored
    labels = truth.labels[kept].tolist()
    names = [classes.name_of(label) for label in labels]
    return draw_boxes(pixels, truth.boxes[kept], names, labels, None, truth.boxes[truth.ignored], scale)


def draw_boxes(
    pixels: UInt8[Tensor, "3 height width"],
    boxes: Float[Tensor, "boxes 4"],
    names: Sequence[str],
    labels: Sequence[int],
    scores: Sequence[float] | None = None,
    dashed: Float[Tensor, "dashed 4"] | None = None,
    scale: float = 1.0,
) -> Image.Image:
    """A picture with boxes and their tags, the first ones on top.

    Args:
        pixels: RGB.
        boxes: in these pixels; may stick out.
        names: text of each tag.
        labels: choose the colours.
        scores: 0..1, written behind the names.
        dashed: boxes without a tag, under the others.
        scale: how many times larger than ``pixels`` the picture is.
    """
    picture = _picture(pixels, scale)
    canvas = ImageDraw.Draw(picture, "RGBA")
    thick = max(1, round(0.0036 * math.sqrt(picture.width * picture.height)))
    for frame in _frames(dashed, scale, picture) if dashed is not None else []:
        _dashed_outline(canvas, frame, max(1, round(0.6 * thick)), 4 * thick)
    frames = _frames(boxes, scale, picture)
    colours = [colour_of(label) for label in labels]
    for frame, colour in reversed(list(zip(frames, colours, strict=True))):
        _outline(canvas, frame, colour, thick)
    texts = [(name,) if scores is None else (f"{name} {scores[i]:.2f}", name) for i, name in enumerate(names)]
    for tag in reversed(_placed_tags(frames, texts, colours, picture.size)):
        _write(canvas, tag)
    return picture


def contact_sheet(pictures: Sequence[Image.Image], columns: int, width: int, gap: int = 6) -> Image.Image:
    """Pictures of any shapes on one white sheet, in rows of equal height that fill the width.

    Args:
        pictures: at least one, in reading order.
        columns: pictures in a row; the last row may have fewer, then they are as high as those of the row before.
        width: of the sheet in pixels.
        gap: white pixels between pictures.
    """
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    heights: list[int] = []
    for row in rows:
        filling = (width - gap * (len(row) - 1)) / sum(one.width / one.height for one in row)
        complete = len(row) == columns or not heights
        heights.append(max(1, round(filling if complete else min(filling, heights[-1]))))
    sheet = Image.new("RGB", (width, sum(heights) + gap * (len(rows) - 1)), "white")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        left = 0.0
        for one in row:
            right = left + one.width * height / one.height
            size = (max(1, round(right) - round(left)), height)
            sheet.paste(one.resize(size, Image.Resampling.LANCZOS), (round(left), top))
            left = right + gap
        top += height + gap
    return sheet


def _picture(pixels: UInt8[Tensor, "3 height width"], scale: float) -> Image.Image:
    picture = Image.fromarray(pixels.permute(1, 2, 0).contiguous().cpu().numpy())
    if scale == 1.0:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _frames(boxes: Float[Tensor, "boxes 4"], scale: float, picture: Image.Image) -> list[_Frame]:
    """Whole pixels of the picture, at least one of them for each box."""
    frames = []
    for x1, y1, x2, y2 in (boxes.detach().double().cpu() * scale).tolist():
        left = min(max(round(x1), 0), picture.width - 1)
        top = min(max(round(y1), 0), picture.height - 1)
        right = max(min(round(x2), picture.width), left + 1)
        frames.append(_Frame(left, top, right, max(min(round(y2), picture.height), top + 1)))
    return frames


def _outline(canvas: ImageDraw.ImageDraw, frame: _Frame, colour: Colour, thick: int) -> None:
    thin = min(thick, max(1, frame.short_side // 14))  # so there is room inside for the rim
    left, top, right, bottom = frame.left, frame.top, frame.right - 1, frame.bottom - 1
    if thin > 1:
        canvas.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=RIM, width=1)
        canvas.rectangle((left + thin, top + thin, right - thin, bottom - thin), outline=RIM, width=1)
    canvas.rectangle((left, top, right, bottom), outline=colour, width=thin)


def _dashed_outline(canvas: ImageDraw.ImageDraw, frame: _Frame, thick: int, dash: int) -> None:
    left, top, right, bottom = frame.left, frame.top, frame.right - 1, frame.bottom - 1
    canvas.rectangle((left, top, right, bottom), outline="black", width=thick)
    for start in range(left, right, 2 * dash):
        end = min(start + dash, right)
        canvas.rectangle((start, top, end, top + thick - 1), fill="white")
        canvas.rectangle((start, bottom - thick + 1, end, bottom), fill="white")
    for start in range(top, bottom, 2 * dash):
        end = min(start + dash, bottom)
        canvas.rectangle((left, start, left + thick - 1, end), fill="white")
        canvas.rectangle((right - thick + 1, start, right, end), fill="white")


def _placed_tags(
    frames: Sequence[_Frame], texts: Sequence[tuple[str, ...]], colours: Sequence[Colour], size: tuple[int, int]
) -> list[_Tag]:
    largest = max(11, round(0.024 * math.sqrt(size[0] * size[1])))
    crowded = len(frames) > CROWDED
    tags: list[_Tag] = []
    for frame, wordings, colour in zip(frames, texts, colours, strict=True):
        letters = min(largest, max(10, frame.short_side // 4)) if crowded else largest
        text = _fitting(wordings, frame.right - frame.left, letters) if crowded else wordings[0]
        width, height = _tag_size(text, letters)
        reach = _Frame(frame.left - width, frame.top - height, frame.right + width, frame.bottom + height)
        others = [tag.frame for tag in tags if reach.shared(tag.frame)]
        small = [other for other in frames if other.area < 2 * width * height and reach.shared(other)]
        places = _places(frame, (width, height), size)
        covered = [_covered(place, others, small) for place in places]
        if not tags or min(covered) <= COVERED * width * height:
            tags.append(_Tag(places[covered.index(min(covered))], text, letters, colour))
    return tags


def _covered(place: _Frame, tags: Sequence[_Frame], small: Sequence[_Frame]) -> float:
    """Pixels of other tags, and a quarter of those of boxes that a tag could hide, which lie under a tag."""
    return sum(place.shared(tag) for tag in tags) + 0.25 * sum(place.shared(frame) for frame in small)


def _fitting(wordings: tuple[str, ...], width: int, letters: int) -> str:
    """The longest wording that is no wider than its box; the shortest where none is."""
    return next((text for text in wordings if _tag_size(text, letters)[0] <= width), wordings[-1])


def _tag_size(text: str, letters: int) -> tuple[int, int]:
    """Width and height of a tag whose letters have this size."""
    return math.ceil(_font_of(text, letters).getlength(text)) + round(0.6 * letters), round(1.35 * letters)


def _places(frame: _Frame, tag: tuple[int, int], size: tuple[int, int]) -> list[_Frame]:
    """Where a tag may be, best first: above its box, inside if there is much room, below; at the left or the right."""
    above, inside, below = (frame.top - tag[1],), (frame.top, frame.bottom - tag[1]), (frame.bottom,)
    roomy = frame.bottom - frame.top > 4 * tag[1]
    places = []
    for y in above + inside + below if roomy else above + below + inside:
        for x in (frame.left, frame.right - tag[0]):
            left = max(0, min(x, size[0] - tag[0]))
            if 0 <= y <= size[1] - tag[1]:
                places.append(_Frame(left, y, left + tag[0], y + tag[1]))
    if not places:  # the image is lower than a tag
        left = max(0, min(frame.left, size[0] - tag[0]))
        places.append(_Frame(left, 0, left + tag[0], tag[1]))
    return places


def _write(canvas: ImageDraw.ImageDraw, tag: _Tag) -> None:
    frame, colour = tag.frame, tag.colour
    canvas.rectangle((frame.left - 1, frame.top - 1, frame.right, frame.bottom), outline=RIM, width=1)
    canvas.rectangle((frame.left, frame.top, frame.right - 1, frame.bottom - 1), fill=colour)
    light = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    ink = "black" if light > 120 else "white"
    middle = (frame.left + round(0.3 * tag.letters), (frame.top + frame.bottom) / 2)
    canvas.text(middle, tag.text, fill=ink, font=_font_of(tag.text, tag.letters), anchor="lm")


def _font_of(text: str, size: int) -> Font:
    return _font("".join(sorted({character for character in text if not character.isascii()})), size)


@cache
def _font(foreign: str, size: int) -> Font:
    """A font that has these characters, if the machine has one."""
    for name in WORLD_FONTS if foreign else ():
        with contextlib.suppress(OSError):
            font = ImageFont.truetype(name, size)
            missing = bytes(font.getmask("\uffff"))
            if all(bytes(font.getmask(character)) != missing for character in foreign):
                return font
    return ImageFont.load_default(size)
