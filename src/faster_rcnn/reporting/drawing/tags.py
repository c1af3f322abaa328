"""Tags: a class name on the colour of its class, and beside it the score on a background of its own.

The two backgrounds separate name and score whatever the name is: a class ``1`` and a score 0.99 are never read as
10.99.

Tags lie outside their boxes where there is room, always inside the image, and avoid each other. Where that is
impossible, the box of lower score has no tag, as a heap of tags cannot be read and hides the colours of the boxes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from PIL import ImageDraw

from faster_rcnn.reporting.drawing.colours import Colour, is_light
from faster_rcnn.reporting.drawing.fonts import Lettering, load_font, text_width

CROWDED = 12
"""The number of boxes above which a tag is no wider than its box, as far as the name allows."""

COVERED = 0.1
"""The share of a tag that may cover other tags, or a quarter of the share that may cover small boxes.

A tag that would cover more is left out.
"""

SMALL = 100
"""The shorter side of a picture in pixels, below which no tag covers any box."""
LARGEST_SHARE = 0.08
"""The share of the picture's area that a tag takes at most."""
WIDEST_SHARE = 0.4
"""The share of the picture's width that a tag takes at most where its box is not wider."""

LETTERS, SMALLEST_LETTERS = 11, 8
"""The least size of letters in pixels on usual and on small pictures."""
MIN_KEPT = 4
"""The least number of letters that a shortened name keeps."""

RIM = (0, 0, 0, 90)
"""A dark, half-transparent colour around a tag, which separates it from a light background and from other tags."""


class Frame(NamedTuple):
    """A rectangle in integer pixels; column ``right`` and row ``bottom`` are the first outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.right - self.left

    @property
    def short_side(self) -> int:
        """Length of the shorter side in pixels."""
        return min(self.right - self.left, self.bottom - self.top)

    @property
    def area(self) -> int:
        """Number of pixels."""
        return (self.right - self.left) * (self.bottom - self.top)

    def shared(self, other: Frame) -> int:
        """Number of pixels that lie in both rectangles."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(width, 0) * max(height, 0)


class Wording(NamedTuple):
    """The texts of a tag, in letters of one size."""

    name: Lettering
    score: str | None
    letters: int

    @property
    def name_width(self) -> int:
        """Width in pixels of the field of the name, with its margins."""
        return self.name.width(self.letters) + 2 * self.margin

    @property
    def width(self) -> int:
        """Width in pixels of both fields."""
        if self.score is None:
            return self.name_width
        return self.name_width + math.ceil(text_width(self.score, None, self.letters)) + 2 * self.margin

    @property
    def height(self) -> int:
        """Height in pixels, with margins."""
        return round(1.35 * self.letters)

    @property
    def margin(self) -> int:
        """Margin in pixels at either side of the name, and of the score."""
        return round(0.3 * self.letters)


@dataclass(frozen=True, slots=True)
class Tag:
    """A wording at its place."""

    frame: Frame
    wording: Wording
    colour: Colour


def placed_tags(
    frames: Sequence[Frame],
    names: Sequence[Lettering],
    scores: Sequence[str] | None,
    colours: Sequence[Colour],
    size: tuple[int, int],
    letters: int | None = None,
) -> list[Tag]:
    """Place the tags that have room, in the order of the boxes: the first boxes, of the highest scores, come first.

    ``size`` is the picture's width and height in pixels; ``letters`` is the size of the letters of all tags, which by
    default follows from the sizes of the picture and of the box.
    """
    tags: list[Tag] = []
    for index, (frame, name, colour) in enumerate(zip(frames, names, colours, strict=True)):
        score = None if scores is None else scores[index]
        wording = _wording(frame, name, score, len(frames) > CROWDED, size, letters)
        place = None if wording is None else _place(frame, wording, tags, frames, size)
        if wording is not None and place is not None:
            tags.append(Tag(place, wording, colour))
    return tags


def write_tag(canvas: ImageDraw.ImageDraw, tag: Tag) -> None:
    """Draw a tag; text and background of the score have the colours of the name, exchanged."""
    frame, wording = tag.frame, tag.wording
    ink = (0, 0, 0) if is_light(tag.colour) else (255, 255, 255)
    canvas.rectangle((frame.left - 1, frame.top - 1, frame.right, frame.bottom), outline=RIM, width=1)
    middle = min(frame.left + wording.name_width, frame.right)
    _write_field(canvas, Frame(frame.left, frame.top, middle, frame.bottom), wording, wording.name, tag.colour, ink)
    if wording.score is not None:
        score = Lettering(wording.score, (None,) * len(wording.score))
        _write_field(canvas, Frame(middle, frame.top, frame.right, frame.bottom), wording, score, ink, tag.colour)


def _write_field(
    canvas: ImageDraw.ImageDraw, field: Frame, wording: Wording, written: Lettering, ground: Colour, ink: Colour
) -> None:
    """Draw a text on its background."""
    canvas.rectangle((field.left, field.top, field.right - 1, field.bottom - 1), fill=ground)
    left, middle = float(field.left + wording.margin), (field.top + field.bottom) / 2
    for text, file in written.runs():
        canvas.text((left, middle), text, fill=ink, font=load_font(file, wording.letters), anchor="lm")
        left += text_width(text, file, wording.letters)


def _wording(
    frame: Frame, name: Lettering, score: str | None, crowded: bool, size: tuple[int, int], given: int | None
) -> Wording | None:
    """The longest wording that has room; ``None`` where even a short one is too large for the picture."""
    least = min(LETTERS, max(SMALLEST_LETTERS, min(size) // 11))
    largest = max(least, round(0.024 * math.sqrt(size[0] * size[1])))
    letters = given or (min(largest, max(least - 1, frame.short_side // 4)) if crowded else largest)
    full = Wording(name, score, letters)
    widest = min(size[0], math.floor(LARGEST_SHARE * size[0] * size[1] / full.height))
    usual = min(widest, max(frame.width, round(WIDEST_SHARE * size[0])))
    candidates = [(full, frame.width if crowded else usual)]
    candidates += [(full._replace(score=None), frame.width), (full._replace(score=None), usual)] if crowded else []
    fitting = [each for each, width in candidates if each.width <= min(width, widest)]
    return fitting[0] if fitting else next(_shortened(candidates[-1][0], usual), None)


def _shortened(wording: Wording, width: int) -> Iterator[Wording]:
    """The wordings that fit with the middle of the name left out, longest first, of ``MIN_KEPT`` letters or more."""
    # Every letter is wider than a fifth of its height.
    max_kept = min(len(wording.name.text) - 1, 5 * width // wording.letters)
    for kept in range(max_kept, MIN_KEPT - 1, -1):
        shorter = wording._replace(name=wording.name.shortened(kept))
        if shorter.width <= width:
            yield shorter


def _place(
    frame: Frame, wording: Wording, tags: Sequence[Tag], frames: Sequence[Frame], size: tuple[int, int]
) -> Frame | None:
    """The best place for a tag; ``None`` where it would cover too much."""
    width, height = wording.width, wording.height
    reach = Frame(frame.left - width, frame.top - height, frame.right + width, frame.bottom + height)
    others = [tag.frame for tag in tags if reach.shared(tag.frame)]
    places = _places(frame, (width, height), size)
    if min(size) < SMALL:
        return next((each for each in places if not any(map(each.shared, [*others, *frames]))), None)
    small = [other for other in frames if other.area < 2 * width * height and reach.shared(other)]
    covered = [_covered(place, others, small) for place in places]
    return places[covered.index(min(covered))] if not tags or min(covered) <= COVERED * width * height else None


def _covered(place: Frame, tags: Sequence[Frame], small: Sequence[Frame]) -> float:
    """Number of pixels that a tag would cover: those of other tags, and a quarter of those of small boxes."""
    return sum(place.shared(tag) for tag in tags) + 0.25 * sum(place.shared(frame) for frame in small)


def _places(frame: Frame, tag: tuple[int, int], size: tuple[int, int]) -> list[Frame]:
    """The places for a tag, best first: above its box, inside a high box, below; at the left or the right."""
    above, inside, below = (frame.top - tag[1],), (frame.top, frame.bottom - tag[1]), (frame.bottom,)
    roomy = frame.bottom - frame.top > 4 * tag[1]
    places = []
    for y in above + inside + below if roomy else above + below + inside:
        for x in (frame.left, frame.right - tag[0]):
            left = max(0, min(x, size[0] - tag[0]))
            if 0 <= y <= size[1] - tag[1]:
                places.append(Frame(left, y, left + tag[0], y + tag[1]))
    if not places:  # the image is not as high as a tag
        left = max(0, min(frame.left, size[0] - tag[0]))
        places.append(Frame(left, 0, left + tag[0], tag[1]))
    return places
