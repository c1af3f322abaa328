"""Attributes of a truth by which verdicts are counted: its class, size, aspect, neighbours, place and brightness."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from faster_rcnn.data.records import ImageRecord
from faster_rcnn.images import size_of
from faster_rcnn.ops.boxes import iou
from faster_rcnn.structures import ClassMap, GroundTruth, ImageSize

SMALL_AREA, MEDIUM_AREA = 32.0**2, 96.0**2
"""Largest areas of small and of medium truths in square pixels (COCO)."""
TALL = math.sqrt(2)
"""Lowest height over width of a tall truth; half-way, as a factor, between anchors of 1:1 and 2:1."""
CROWDED = 0.3
"""Lowest IoU with a neighbour of a crowded truth (Zhang et al., CityPersons, arXiv 1702.05693)."""
AT_BORDER = 1.0
"""Largest distance to the image's border, in pixels, of a truth that is probably cut by it."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601)."""

GROUPS = {
    "size": ("small", "medium", "large"),
    "aspect": ("tall", "square", "wide"),
    "crowding": ("apart", "touching", "crowded"),
    "border": ("inside", "at-border"),
    "brightness": ("dark", "middle", "bright"),
}
"""The groups of each attribute, in order; those of ``class`` are the class names."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """Properties of one truth, as numbers and as the group of each."""

    class_name: str
    area: float
    """Square pixels of the image; that of the outline where the data has it, as in COCO."""
    height_over_width: float
    crowding: float
    """The highest IoU with another truth of the image, of any class."""
    border: float
    """Distance to the nearest border of the image in pixels."""
    brightness: float
    """Mean luma of the pixels of the box, 0..1."""

    def groups(self) -> dict[str, str]:
        """The group of each attribute, by its name: ``class`` and the keys of ``GROUPS``."""
        small, medium, large = GROUPS["size"]
        tall, square, wide = GROUPS["aspect"]
        apart, touching, crowded = GROUPS["crowding"]
        inside, at_border = GROUPS["border"]
        dark, middle, bright = GROUPS["brightness"]
        ratio = self.height_over_width
        return {
            "class": self.class_name,
            "size": small if self.area <= SMALL_AREA else medium if self.area <= MEDIUM_AREA else large,
            "aspect": tall if ratio >= TALL else wide if ratio <= 1 / TALL else square,
            "crowding": apart if self.crowding == 0 else touching if self.crowding < CROWDED else crowded,
            "border": at_border if self.border <= AT_BORDER else inside,
            "brightness": dark if self.brightness < 1 / 3 else middle if self.brightness < 2 / 3 else bright,
        }


def attributes_of(
    record: ImageRecord, pixels: UInt8[Tensor, "3 height width"], classes: ClassMap
) -> tuple[Attributes, ...]:
    """The attributes of each truth of an image, ignored ones included, in their order.

    ``pixels`` are those of the image of ``record``; ``classes`` are names of the labels of its truth.
    """
    truth, size = record.truth, size_of(pixels)
    sides = (truth.boxes[:, 2:] - truth.boxes[:, :2]).double()  # (T, 2): width, height
    ratios = (sides[:, 1] / sides[:, 0].clamp(min=1e-9)).tolist()
    crowding, borders = _crowding(truth).tolist(), _borders(truth.boxes, size).tolist()
    return tuple(
        Attributes(classes.name_of(int(label)), float(area), ratio, near, border, _brightness(pixels, box))
        for label, area, ratio, near, border, box in zip(
            truth.labels, record.areas, ratios, crowding, borders, truth.boxes, strict=True
        )
    )


def _crowding(truth: GroundTruth) -> Float[Tensor, " truths"]:
    """The highest IoU of each truth with another one."""
    if len(truth.labels) < 2:
        return torch.zeros(len(truth.labels), dtype=torch.float64)
    boxes = truth.boxes.double()
    return iou(boxes, boxes).fill_diagonal_(0).amax(dim=1)


def _borders(boxes: Float[Tensor, "truths 4"], size: ImageSize) -> Float[Tensor, " truths"]:
    """The distance of each box to the nearest border of the image."""
    end = boxes.new_tensor([size.width, size.height])
    return torch.cat([boxes[:, :2], end - boxes[:, 2:]], dim=1).amin(dim=1).clamp(min=0)


def _brightness(pixels: UInt8[Tensor, "3 height width"], box: Float[Tensor, " corners"]) -> float:
    """Mean luma in a box, 0..1; the box covers at least one pixel."""
    height, width = pixels.shape[1:]
    x1, y1, x2, y2 = box.tolist()
    left, top = min(max(int(x1), 0), width - 1), min(max(int(y1), 0), height - 1)
    right, bottom = max(min(math.ceil(x2), width), left + 1), max(min(math.ceil(y2), height), top + 1)
    means = pixels[:, top:bottom, left:right].float().mean(dim=(1, 2))  # (3,)
    return float(means @ means.new_tensor(LUMA)) / 255
