"""Crops of missed truths and of false positives, for the galleries of a data set's page."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from faster_rcnn.data.decode import read_image
from faster_rcnn.data.records import evenly_spread
from faster_rcnn.explanation.causes.false_positives import FalsePositive
from faster_rcnn.explanation.causes.kinds import Verdict
from faster_rcnn.explanation.causes.sentences import false_positive_sentence, verdict_sentence
from faster_rcnn.explanation.dataset.judged import JudgedImage
from faster_rcnn.explanation.record.lives import Corners, Life, corners
from faster_rcnn.explanation.survey import Survey
from faster_rcnn.reporting.drawing.boxes import dashed_outline, outline
from faster_rcnn.reporting.drawing.tags import Frame

MAX_CROPS = 120
"""The largest number of crops of a gallery, which keeps the page below 5 MB."""
SIDE = 176
"""Width and height of a crop in pixels."""
MARGIN = 0.6
"""Surroundings of a box at each side, as a share of its longer side."""
LEAST = 24.0
"""The least side of the surroundings that are shown, in pixels of the image."""
FOUND = (255, 122, 51)
"""The colour of boxes that the detector made: orange."""
OUTSIDE = (128, 128, 128)
"""The colour of what lies outside the image."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """One box with some surroundings."""

    image: int
    """Index of the image in the survey."""
    index: int
    """Index of the truth, or of the detection, in its image."""
    kind: str
    label: int
    name: str
    """The file name of the image."""
    score: float | None
    sentence: str
    picture: Image.Image


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """The crops of one kind of mistakes."""

    total: int
    """The number of all such mistakes, with a crop or without."""
    crops: tuple[Crop, ...]


def missed_gallery(survey: Survey, max_crops: int = MAX_CROPS) -> Gallery:
    """Crops of missed truths, evenly chosen over the verdicts: the truth dashed, the box that came furthest orange."""
    missed = [
        (place, one.verdict) for place, image in enumerate(survey.images) for one in image.truths if one.verdict.missed
    ]
    chosen = evenly_over(missed, lambda item: item[1].kind, max_crops)

    def crop(item: tuple[int, Verdict], image: JudgedImage, pixels: Tensor) -> Crop:
        place, verdict = item
        box = corners(image.record.truth.boxes[verdict.truth])
        picture = crop_picture(pixels, box, box, _furthest(verdict.life))
        score = None if verdict.life is None else verdict.life.score
        sentence, name = verdict_sentence(verdict, survey.classes), image.record.path.name
        return Crop(place, verdict.truth, str(verdict.kind), verdict.label, name, score, sentence, picture)

    return Gallery(len(missed), _cropped(survey, chosen, crop))


def false_gallery(survey: Survey, max_crops: int = MAX_CROPS) -> Gallery:
    """Crops of false positives, evenly chosen over their kinds: best score first.

    The detection is orange, the truth that it lies on dashed.
    """
    false = [(place, one) for place, image in enumerate(survey.images) for one in image.false_positives]
    chosen = evenly_over(false, lambda item: item[1].kind, max_crops)

    def crop(item: tuple[int, FalsePositive], image: JudgedImage, pixels: Tensor) -> Crop:
        place, one = item
        box = corners(image.detections.boxes[one.detection])
        truth = None if one.truth is None else corners(image.record.truth.boxes[one.truth])
        sentence = false_positive_sentence(one, survey.classes) + _neighbours(image, one.detection)
        picture, name = crop_picture(pixels, box, truth, box), image.record.path.name
        return Crop(place, one.detection, str(one.kind), one.label, name, one.score, sentence, picture)

    crops = sorted(_cropped(survey, chosen, crop), key=lambda one: -(one.score or 0.0))
    return Gallery(len(false), tuple(crops))


def evenly_over(items: Sequence[Item], kind_of: Callable[[Item], object], max_items: int) -> list[Item]:
    """At most ``max_items`` items, equally many of each kind as far as there are, evenly spread within it, in order."""
    groups: dict[object, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        groups[kind_of(item)].append(index)
    left, chosen = max_items, []
    # Small groups first: what they do not use is left to the others.
    for number, group in enumerate(sorted(groups.values(), key=len)):
        taken = evenly_spread(group, left // (len(groups) - number))
        left -= len(taken)
        chosen += taken
    return [items[index] for index in sorted(chosen)]


def crop_picture(
    pixels: UInt8[Tensor, "3 height width"], focus: Corners, dashed: Corners | None, solid: Corners | None
) -> Image.Image:
    """A square cut out of an image around a box, with a dashed and a solid box drawn into it."""
    x1, y1, x2, y2 = focus
    side = max(LEAST, (1 + 2 * MARGIN) * max(x2 - x1, y2 - y1))
    left, top = (x1 + x2 - side) / 2, (y1 + y2 - side) / 2
    height, width = pixels.shape[1:]
    first = max(0, math.floor(left)), max(0, math.floor(top))
    last = min(width, math.ceil(left + side)), min(height, math.ceil(top + side))
    picture, scale = Image.new("RGB", (SIDE, SIDE), OUTSIDE), SIDE / side
    if last[0] > first[0] and last[1] > first[1]:
        part = pixels[:, first[1] : last[1], first[0] : last[0]].permute(1, 2, 0).cpu().numpy()
        size = tuple(max(1, round((end - start) * scale)) for start, end in zip(first, last, strict=True))
        inner = Image.fromarray(np.ascontiguousarray(part)).resize((size[0], size[1]), Image.Resampling.BICUBIC)
        picture.paste(inner, (round((first[0] - left) * scale), round((first[1] - top) * scale)))
    canvas = ImageDraw.Draw(picture, "RGBA")
    if dashed is not None:
        dashed_outline(canvas, _frame(dashed, left, top, scale), 2, 6)
    if solid is not None:
        outline(canvas, _frame(solid, left, top, scale), FOUND, 2)
    return picture


def _neighbours(image: JudgedImage, detection: int) -> str:
    """The training regions that a probable missing label resembles, in one sentence; empty for other detections."""
    near = image.neighbours.get(detection, ())
    places = [f"{Path(one.image).name} (cosine {one.similarity:.2f})" for one in near]
    return f" It resembles labelled regions of {', '.join(places)}." if places else ""


def _frame(box: Corners, left: float, top: float, scale: float) -> Frame:
    """A box in pixels of a crop; it ends a little outside, so that no long dashes are drawn far away."""
    places = ((box[0] - left) * scale, (box[1] - top) * scale, (box[2] - left) * scale, (box[3] - top) * scale)
    x1, y1, x2, y2 = (round(min(max(place, -20.0), SIDE + 20.0)) for place in places)
    return Frame(x1, y1, max(x2, x1 + 1), max(y2, y1 + 1))


def _furthest(life: Life | None) -> Corners | None:
    """The last box of a life."""
    return None if life is None else life.box or life.proposal_box or life.anchor_box


def _cropped(
    survey: Survey,
    items: Sequence[tuple[int, Item]],
    crop: Callable[[tuple[int, Item], JudgedImage, Tensor], Crop],
) -> tuple[Crop, ...]:
    """The crops of items, which are in the order of their images; each image is decoded once."""
    crops: list[Crop] = []
    last, pixels = -1, None
    for item in items:
        image = survey.images[item[0]]
        if item[0] != last or pixels is None:
            last, pixels = item[0], read_image(image.record.path, max_pixels_of(image))[0]
        crops.append(crop(item, image, pixels))
    return tuple(crops)


def max_pixels_of(image: JudgedImage) -> int:
    """The number of pixels of an image that was decoded before."""
    return image.record.size.height * image.record.size.width
