"""The numbers of each stage of a recorded part, as pages print them beside the pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate

import torch
from jaxtyping import Float
from torch import Tensor

from faster_rcnn.explanation.record.assignment import assigned_anchors, sampled_anchors
from faster_rcnn.explanation.record.fates import AnchorFates, Fate
from faster_rcnn.explanation.record.recording import FirstStage, PartRecording
from faster_rcnn.ops.boxes import inside
from faster_rcnn.rpn.proposals import objectness_logit
from faster_rcnn.structures import GroundTruth, ImageSize, Matches

IOU_BINS = 20
"""Bins of equal width of the histogram of IoUs, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class ImageNumbers:
    """The sizes of a part of an image on its way into the backbone."""

    size: ImageSize
    """In pixels of the image."""
    resized: ImageSize
    padded: ImageSize
    """With the zeros at the right and bottom."""

    @property
    def factor(self) -> float:
        """How many times wider the resized part is."""
        return self.resized.width / self.size.width


@dataclass(frozen=True, slots=True)
class LevelNumbers:
    """One feature map, and the anchors at its positions."""

    name: str
    """Such as ``P3``, or ``C4`` where the backbone has no pyramid."""
    stride: int
    channels: int
    rows: int
    columns: int
    anchors: int
    """Number of anchors of the level; 0 where the first stage did not run."""

    @property
    def positions(self) -> int:
        """Number of features, each of which is the place of equally many anchors."""
        return self.rows * self.columns

    @property
    def per_position(self) -> int:
        """k: the number of anchors at each position."""
        return self.anchors // self.positions


@dataclass(frozen=True, slots=True)
class AssignmentNumbers:
    """How many anchors the truths make positive, negative and neutral."""

    positive: int
    negative: int
    neutral: int
    positive_iou: float
    """Anchors of at least this IoU with a truth are positive, and so are the best anchors of each truth."""
    negative_iou: float
    """Anchors below this IoU with all truths are negative."""
    histogram: tuple[int, ...]
    """The number of anchors by their highest IoU with a truth, in ``IOU_BINS`` bins from 0 to 1."""
    positives_below: int
    """Positive anchors below ``positive_iou``: the best anchors of truths that no anchor fits better."""
    crossing: int
    """Neutral anchors that training leaves out, as they cross the border; 0 where it does not leave them out."""


@dataclass(frozen=True, slots=True)
class SampleNumbers:
    """The mini-batch of anchors of one image in training."""

    size: int
    """The number of places."""
    positive: int
    negative: int
    max_positive: int

    @property
    def unused(self) -> int:
        """Places for which there are too few positive and negative anchors."""
        return self.size - self.positive - self.negative


@dataclass(frozen=True, slots=True)
class ObjectnessNumbers:
    """The objectness of the anchors of one level, 0..1."""

    name: str
    best: float
    mean: float
    above_half: int
    """The number of anchors whose objectness exceeds 0.5."""


@dataclass(frozen=True, slots=True)
class ProposalNumbers:
    """How many anchors each step of the proposal filter leaves."""

    anchors: int
    candidates: int
    """The best-scored anchors of each level, before NMS."""
    too_small: int
    suppressed: int
    survived: int
    """Boxes after NMS."""
    kept: int
    """Proposals, at most ``proposals_after_nms``."""


@dataclass(frozen=True, slots=True)
class RegionNumbers:
    """Where the features of one region are read."""

    level: int
    """Index of the feature map."""
    name: str
    stride: int
    box: tuple[float, float, float, float]
    """The region in features of the level, (x1, y1, x2, y2): pixels of the resized part over the stride."""


def image_numbers(part: PartRecording) -> ImageNumbers:
    """The sizes of a part before and after resizing, and with its padding."""
    height, width = part.images.pixels.shape[-2:]
    return ImageNumbers(part.size, part.resized, ImageSize(height, width))


def level_numbers(part: PartRecording) -> tuple[LevelNumbers, ...]:
    """The feature maps that both stages read, finest first."""
    anchors = (0,) * len(part.features) if part.first is None else part.first.anchors.per_level
    return tuple(
        LevelNumbers(
            name=level_name(part, level),
            stride=part.network.backbone.strides[level],
            channels=feature.shape[1],
            rows=feature.shape[2],
            columns=feature.shape[3],
            anchors=count,
        )
        for level, (feature, count) in enumerate(zip(part.features, anchors, strict=True))
    )


def anchor_levels(part: PartRecording) -> dict[int, LevelNumbers]:
    """The feature maps that have anchors, by their index; none where the first stage did not run."""
    return {index: level for index, level in enumerate(level_numbers(part)) if level.anchors}


def level_name(part: PartRecording, level: int) -> str:
    """The name of a feature map by its stride: P2 to P6 in a pyramid, C4 for a lone map of stride 16 (FPN, 3)."""
    letter = "P" if len(part.features) > 1 else "C"
    return f"{letter}{round(math.log2(part.network.backbone.strides[level]))}"


def level_of_anchor(first: FirstStage, anchor: int) -> int:
    """The level of an anchor, by its index."""
    return next(level for level, end in enumerate(accumulate(first.anchors.per_level)) if anchor < end)


def assignment_numbers(part: PartRecording, first: FirstStage, truth: GroundTruth) -> AssignmentNumbers:
    """Count the anchors of each kind; ``truth`` is in pixels of the image."""
    return numbers_of_matches(part, first, assigned_anchors(part, first, truth))


def numbers_of_matches(part: PartRecording, first: FirstStage, matches: Matches) -> AssignmentNumbers:
    """Count the anchors of each kind in what ``assigned_anchors`` gives for a part."""
    rule = part.network.rpn.sampling
    positive, negative = int(matches.positive.sum()), int(matches.negative.sum())
    return AssignmentNumbers(
        positive=positive,
        negative=negative,
        neutral=len(matches.positive) - positive - negative,
        positive_iou=rule.positive_iou,
        negative_iou=rule.negative_iou,
        histogram=histogram_of(matches.overlap),
        positives_below=int((matches.positive & (matches.overlap < rule.positive_iou)).sum()),
        crossing=int((~inside(first.anchors.boxes, part.resized)).sum()) if rule.ignore_crossing else 0,
    )


def histogram_of(ious: Float[Tensor, " boxes"]) -> tuple[int, ...]:
    """The number of IoUs in each of ``IOU_BINS`` bins; a bin has its lower end, and the last one has both ends."""
    # A float32 IoU of 0.7 lies on its bin's lower end only in float32, too.
    places = (ious * IOU_BINS).floor().long().clamp(0, IOU_BINS - 1)
    return tuple(torch.bincount(places, minlength=IOU_BINS).tolist())


def sample_numbers(part: PartRecording, first: FirstStage, truth: GroundTruth, seed: int = 0) -> SampleNumbers:
    """Count the mini-batch that ``sampled_anchors`` gives for a seed; ``truth`` is in pixels of the image."""
    chosen, rule = sampled_anchors(part, first, truth, seed), part.network.rpn.sampling
    positive = int(chosen.positive.sum())
    most = int(rule.samples * rule.positive_fraction)
    return SampleNumbers(len(chosen.indices), positive, int(chosen.used.sum()) - positive, most)


def objectness_numbers(part: PartRecording, first: FirstStage) -> tuple[ObjectnessNumbers, ...]:
    """The objectness of each level that has anchors, finest first."""
    levels = objectness_logit(first.output.logits[0]).sigmoid().split(first.anchors.per_level)
    return tuple(
        ObjectnessNumbers(level_name(part, level), float(each.max()), float(each.mean()), int((each > 0.5).sum()))
        for level, each in enumerate(levels)
        if len(each)
    )


def proposal_numbers(fates: AnchorFates) -> ProposalNumbers:
    """Count the anchors at each step of the filter."""
    counts = torch.bincount(fates.fates, minlength=len(Fate)).tolist()
    anchors, kept = sum(counts), counts[Fate.KEPT]
    survived = kept + counts[Fate.BEYOND_LIMIT]
    suppressed, too_small = counts[Fate.SUPPRESSED], counts[Fate.TOO_SMALL]
    return ProposalNumbers(anchors, anchors - counts[Fate.BELOW_CUT], too_small, suppressed, survived, kept)


def region_numbers(part: PartRecording, proposal: int) -> RegionNumbers:
    """The level that the features of a proposal are read from, as ``roi.pooling.pool_regions`` chooses it.

    Raises ``ValueError`` for a first stage alone, which pools nothing.
    """
    if part.second is None:
        raise ValueError("a first stage alone pools no regions")
    rule, box = part.network.roi.pooling, part.proposals.boxes[proposal]
    level = int(rule.levels_of(box[None])[0])
    stride = rule.strides[level]
    x1, y1, x2, y2 = (box / stride).tolist()
    return RegionNumbers(level, level_name(part, level), stride, (x1, y1, x2, y2))
