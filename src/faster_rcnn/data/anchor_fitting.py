"""Anchors fitted to labelled objects: sizes and aspect ratios near those of the truths, for training.

An object whose best anchor has a low IoU makes no anchor positive but that one (Faster R-CNN, section 3.1.2), and the
first stage hardly learns it. As in YOLOv2 (Redmon and Farhadi, arXiv 1612.08242, section 2), shapes are clustered, here
with medians, and each size only within what the positions of its level can serve. Clusters crowd where most objects are
and may leave the others without an anchor, so sizes at even distances are a second candidate.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log

import torch
from jaxtyping import Float
from torch import Tensor

from faster_rcnn.data.records import Split
from faster_rcnn.images import rescale_truth, target_size
from faster_rcnn.settings.schema import Config, ImageConfig, RpnConfig
from faster_rcnn.structures import GroundTruth, ImageSize

MIN_STRIDES, MAX_STRIDES = 2.0, 32.0
"""Smallest and largest size of a level's anchors, in strides of the level.

Between two positions an object of two strides still has an IoU of 0.39 with an anchor of its shape, in the worst case:
half a stride is a quarter of its side, (3/4)^2 / (2 - (3/4)^2). The paper's largest anchors have 32 strides.
"""
MIN_STRIDES_OF_FINEST = 1.0
"""Smallest size of the finest level, in strides: no other level is denser."""
MIN_RATIO_STEP = 1.25
"""Nearer aspect ratios make nearly the same anchor: two concentric boxes have an IoU of 0.8 at this step."""
MIN_SIZE_STEP = 1.12
"""Nearer sizes make nearly the same anchor: two concentric boxes of one shape have an IoU of 0.8 at this step."""
ROUNDS = 100
"""Rounds after which the clustering ends; it has converged after some ten."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How near the best anchor of each object comes to it, as IoU of two boxes with the same centre."""

    mean: float
    """Mean of the best IoUs, 0..1."""
    half: float
    """Share of the objects whose best IoU is at least 0.5."""
    positive: float
    """Share of the objects whose best IoU is at least 0.7, from which on an anchor is positive (section 3.1.2)."""

    @property
    def rank(self) -> tuple[float, float]:
        """Orders anchors, the best ones last: by both shares, then by the mean."""
        return self.half + self.positive, self.mean


@dataclass(frozen=True, slots=True)
class AnchorFit:
    """Anchors that fit the objects of some data, and those of the settings that they replace."""

    objects: int
    """Number of objects that they were fitted to."""
    sizes: tuple[tuple[float, ...], ...]
    """Square roots of the areas at each level, finest level first, in pixels of the resized image."""
    heights_over_widths: tuple[float, ...]
    """Aspect ratios, for all levels."""
    before: Reach
    """How near the anchors of the settings come to the objects."""
    after: Reach
    """How near the fitted anchors come to them."""

    @property
    def improves(self) -> bool:
        """Whether the fitted anchors are nearer to the objects than those of the settings."""
        return self.after.rank > self.before.rank

    @property
    def settings(self) -> tuple[str, str]:
        """The settings of training, as ``section.key=value``."""
        sizes = ", ".join(f"[{', '.join(f'{size:g}' for size in level)}]" for level in self.sizes)
        ratios = ", ".join(f"{ratio:g}" for ratio in self.heights_over_widths)
        return f"rpn.anchor_sizes=[{sizes}]", f"rpn.anchor_heights_over_widths=[{ratios}]"

    @property
    def words(self) -> str:
        """The option of ``faster-rcnn train`` that trains with these anchors, quoted for a shell."""
        return " ".join(["--set", *map(shlex.quote, self.settings)])


def fitted_to_split(split: Split, config: Config, strides: Sequence[int]) -> AnchorFit | None:
    """Fit anchors to the objects of a split that are not ignored, at the image size of the settings.

    ``strides`` are those of the levels, finest first, as ``model.rpn.anchors.strides`` has them. ``None`` where the
    split has no object.
    """
    shapes = [shapes_of(record.truth, record.size, config.image) for record in split.records]
    return fitted_to(torch.cat(shapes), config.rpn, strides) if shapes else None


def shapes_of(truth: GroundTruth, size: ImageSize, image: ImageConfig) -> Float[Tensor, "truths 2"]:
    """Height and width of each truth of an image that is not ignored, in pixels of the resized image."""
    resized = target_size(size, image.short_side, image.long_side, image.size_rounding)
    boxes = rescale_truth(truth, size, resized).boxes[~truth.ignored]
    return torch.stack((boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]), dim=1)


def fitted_to(shapes: Float[Tensor, "truths 2"], rpn: RpnConfig, strides: Sequence[int]) -> AnchorFit | None:
    """Fit as many sizes for each level, and at most as many aspect ratios, as the settings have.

    Args:
        shapes: height and width of each object, in pixels of the resized image.
        rpn: the settings whose anchors are replaced.
        strides: strides of the levels in pixels, finest first.

    Returns ``None`` where there is no object with an area.
    """
    shapes = shapes[(shapes > 0).all(dim=1)].double()
    if len(shapes) == 0:
        return None
    present = rpn.ratios_of_levels(len(strides))
    ratios = fitted_ratios(shapes[:, 0] / shapes[:, 1], len(present[0]))
    sides, count = shapes.prod(dim=1).sqrt(), len(rpn.anchor_sizes[-1])
    without = [sizes for sizes in rpn.anchor_sizes if not sizes]  # the finest levels may have no anchors
    used = strides[len(without) :]
    candidates = [
        ((*without, *sizes), each)
        for sizes in (fitted_sizes(sides, used, count), spread_sizes(sides, used, count))
        for each in dict.fromkeys((ratios, present[0]))
    ]
    reaches = [reach_of(shapes, sizes, [each] * len(strides)) for sizes, each in candidates]
    best = max(range(len(candidates)), key=lambda index: reaches[index].rank)
    return AnchorFit(len(shapes), *candidates[best], reach_of(shapes, rpn.anchor_sizes, present), reaches[best])


def fitted_sizes(sides: Float[Tensor, " truths"], strides: Sequence[int], count: int) -> tuple[tuple[float, ...], ...]:
    """Cluster square roots of areas in pixels into ``count`` sizes for each level, finest level first.

    The clusters are medians, each within ``MIN_STRIDES`` and ``MAX_STRIDES`` strides of its level; where two would be
    nearly the same, the second one is larger.
    """
    low, high = _limits(strides, count)
    return _of_levels(_medians(sides.log(), len(low), low.log(), high.log()).exp(), high, count)


def spread_sizes(sides: Float[Tensor, " truths"], strides: Sequence[int], count: int) -> tuple[tuple[float, ...], ...]:
    """Sizes at equal factors from nearly the smallest to nearly the largest object, within the limits of the levels."""
    low, high = _limits(strides, count)
    ends = sides.sort().values[[int(share * (len(sides) - 1)) for share in (0.05, 0.95)]].log()
    sizes = torch.linspace(float(ends[0]), float(ends[1]), len(low), dtype=torch.float64).exp()
    return _of_levels(sizes.clamp(low, high), high, count)


def fitted_ratios(heights_over_widths: Float[Tensor, " truths"], most: int) -> tuple[float, ...]:
    """Cluster aspect ratios into at most ``most`` medians that differ by at least ``MIN_RATIO_STEP``, in order."""
    logs = heights_over_widths.log()
    for count in range(most, 1, -1):
        ratios = _medians(logs, count, logs.min().expand(count), logs.max().expand(count)).tolist()
        if all(after - before >= log(MIN_RATIO_STEP) for before, after in pairwise(ratios)):
            return tuple(_few_digits(ratio) for ratio in torch.tensor(ratios).exp().tolist())
    return (_few_digits(float(logs.median().exp())),)


def reach_of(
    shapes: Float[Tensor, "truths 2"], sizes: Sequence[Sequence[float]], ratios: Sequence[Sequence[float]]
) -> Reach:
    """How near the best of some anchors comes to each object, at the best position.

    Args:
        shapes: height and width of each object, at least one.
        sizes: square roots of the areas of the anchors of each level.
        ratios: heights over widths of the anchors of each level.
    """
    anchors = [
        (size * ratio**0.5, size / ratio**0.5)
        for of_level, each in zip(sizes, ratios, strict=True)
        for size in of_level
        for ratio in each
    ]
    best = torch.zeros(len(shapes), dtype=torch.float64)
    for height, width in anchors:
        shared = shapes[:, 0].clamp(max=height) * shapes[:, 1].clamp(max=width)
        best = torch.maximum(best, shared / (shapes.prod(dim=1) + height * width - shared))
    shares = [float((best >= least).double().mean()) for least in (0.5, 0.7)]
    return Reach(float(best.mean()), *shares)


def _limits(strides: Sequence[int], count: int) -> tuple[Float[Tensor, " sizes"], Float[Tensor, " sizes"]]:
    """The smallest and the largest value of each size, for ``count`` sizes of each level."""
    pixels = torch.tensor(strides, dtype=torch.float64).repeat_interleave(count)
    low = MIN_STRIDES * pixels
    low[:count] = MIN_STRIDES_OF_FINEST * strides[0]
    return low, MAX_STRIDES * pixels


def _of_levels(
    ascending: Float[Tensor, " sizes"], high: Float[Tensor, " sizes"], count: int
) -> tuple[tuple[float, ...], ...]:
    """The sizes of each level with few digits; those that are nearly the same are moved apart."""
    sizes, limits = ascending.tolist(), high.tolist()
    for index in range(1, len(sizes)):
        sizes[index] = min(max(sizes[index], sizes[index - 1] * MIN_SIZE_STEP), limits[index])
    rounded = [_few_digits(size) for size in sizes]
    return tuple(tuple(rounded[index : index + count]) for index in range(0, len(rounded), count))


def _medians(
    values: Float[Tensor, " values"], count: int, low: Float[Tensor, " count"], high: Float[Tensor, " count"]
) -> Float[Tensor, " count"]:
    """Cluster numbers around ``count`` medians in ascending order, each within its own bounds.

    A median that no number is nearest to stays where it began, at a quantile within its bounds.
    """
    places = (torch.arange(count) + 0.5) / count * len(values)
    centres = values.sort().values[places.long()].clamp(low, high)
    for _ in range(ROUNDS):
        nearest = (values[:, None] - centres).abs().argmin(dim=1)
        own = [values[nearest == index] for index in range(count)]
        moved = torch.stack([each.median() if len(each) else centres[index] for index, each in enumerate(own)])
        moved = moved.clamp(low, high)
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres.sort().values


def _few_digits(value: float) -> float:
    """The number with two significant digits, or as an integer from 100 on."""
    return float(f"{value:.2g}") if value < 100 else float(round(value))
