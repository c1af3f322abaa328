"""Changes of one setting that could make a truth's detection appear: for each setting the values that just suffice.

The values come from the fates of the boxes that lie on the truth: the score that was too low, the rank that was too
far, the IoU that was too high. They have few digits and a small margin, as the last bits of a score depend on the
number of threads. Whether a change is enough, only a try can decide: a box that passes one filter meets the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import ceil, floor, log10

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from faster_rcnn.explanation.causes.kinds import Question
from faster_rcnn.explanation.causes.retries import CONF, TILE, Change
from faster_rcnn.explanation.record.fates import Fate
from faster_rcnn.explanation.record.lives import PartFates
from faster_rcnn.explanation.record.recording import Recording
from faster_rcnn.images import target_size
from faster_rcnn.inference.tiles import DEFAULT_OVERLAP, Tiling
from faster_rcnn.ops.boxes import iou
from faster_rcnn.structures import ImageSize

ORDER_OF_SETTINGS = (
    CONF,
    "roi.score_floor",
    "roi.min_side",
    "roi.nms_iou",
    "roi.max_detections",
    "rpn.score_floor",
    "rpn.min_side",
    "rpn.nms_iou",
    "rpn.proposals_before_nms",
    "rpn.proposals_after_nms",
    "image.short_side",
    TILE,
)
"""From changes that only show more of what is computed to those that need more computation."""
MAX_VALUES = 3
"""Values that are tried for one setting because a box needs them."""
NMS_GRID = (0.6, 0.7, 0.8, 0.9)
"""IoU thresholds that are tried beyond those that a box needs: a box may have several better-scored neighbours."""
COUNTS = (2.0, 5.0)
"""Numbers of proposals that are tried, in shares of the present one: a proposal nearby may be moved to the truth."""
FACTORS = (1.5, 2.0)
"""Sizes of the image that are tried, in shares of its present size."""
MAX_PIXELS = 2**23
"""Most pixels of the resized parts of a pass that is tried: 10 times those of an image of ``base``, 800 x 1067."""
TILE_SHARES = (1 / 2, 1 / 3)
"""Sides of tiles that are tried, in shares of the image's short side, or of the present tile."""
MAX_TILES, MIN_TILE = 30, 32
"""Most parts of an image that is tried in another size or in tiles, and the shortest side of a tile in pixels."""
MIN_IOU = 0.3
"""IoU with the truth from which on a proposal's second transform may bring it near enough."""
MARGIN = 0.005
"""Relative margin of scores and sides; of IoUs it is absolute."""


def changes_for(question: Question, recording: Recording, fates: Sequence[PartFates]) -> dict[str, list[Change]]:
    """Changes that could make a truth's detection appear: by their setting, the nearest values first.

    A setting of which no value can help is left out. ``image.short_side`` and ``tile`` need another pass.
    """
    values: dict[str, list[float]] = {name: [] for name in ORDER_OF_SETTINGS}
    for part in fates:
        for name, found in (*_of_regions(question, part), *_of_anchors(question, part)):
            values[name] += found
    changes = {name: [Change(name, value) for value in _nearest(name, found)] for name, found in values.items()}
    changes["image.short_side"] = _of_image_size(question, recording)
    changes[TILE] = _of_tiles(question, recording)
    return {name: each for name, each in changes.items() if each}


Values = Iterator[tuple[str, list[float]]]
"""Settings, with the values that boxes of one part need; several for one setting are several boxes."""


def _of_regions(question: Question, fates: PartFates) -> Values:
    """The values with which a region of one part, whose box lies on the truth, would pass the second stage's filter."""
    part, label, conf = fates.part, question.label, question.thresholds.conf
    regions = fates.regions
    if regions is None or part.second is None:
        close = question.iou_with(part.in_image(part.proposals.boxes)) >= question.thresholds.iou  # (P,)
        scores = part.proposals.scores.cpu()
        yield CONF, _below(scores[close & (scores < conf)])
        return
    boxes, rule = regions.boxes[:, label], part.second.rule
    close = question.iou_with(part.in_image(boxes)) >= question.thresholds.iou  # (P,)
    score, fate = regions.probabilities[:, label].cpu(), regions.fates[:, label].cpu()  # (P,) both
    yield CONF, _below(score[close & (fate == Fate.KEPT) & (score < conf)])
    close &= score >= conf
    yield "roi.score_floor", _below(score[close & (fate == Fate.BELOW_CUT) & (score > 0)])
    yield "roi.min_side", _sides_below(boxes[_chosen(close, fate, Fate.TOO_SMALL, boxes)])
    beyond = close & (fate == Fate.BEYOND_LIMIT)
    yield "roi.max_detections", _ranks_above(regions.surviving_ranks[:, label].cpu(), beyond, score)
    suppressed = close & (fate == Fate.SUPPRESSED)
    pairs = torch.nonzero(suppressed)[:, 0].tolist()
    others = regions.suppressors[:, label].tolist()
    every = regions.boxes.flatten(0, 1)
    needed = [_iou_above(boxes[index], every[others[index]]) for index in pairs]
    yield "roi.nms_iou", sorted(needed)[:MAX_VALUES] + (_grid(rule.nms_iou, needed) if pairs else [])


def _of_anchors(question: Question, fates: PartFates) -> Values:
    """The values with which an anchor of one part, whose proposal lies on the truth, would pass the first filter."""
    part, anchors = fates.part, fates.anchors
    if anchors is None:
        return
    rule, fate = part.network.inference_filter, anchors.fates.cpu()
    on = question.iou_with(part.in_image(anchors.boxes))  # (A,)
    close = on >= question.thresholds.iou
    below = close & (fate == Fate.BELOW_CUT)
    ranks, objectness = anchors.ranks.cpu(), anchors.objectness.cpu()
    yield "rpn.proposals_before_nms", _ranks_above(ranks, below & (ranks > rule.before_nms), on)
    yield "rpn.score_floor", _below(objectness[below & (ranks <= rule.before_nms) & (objectness > 0)])
    yield "rpn.min_side", _sides_below(anchors.boxes[_chosen(close, fate, Fate.TOO_SMALL, anchors.boxes)])
    beyond = fate == Fate.BEYOND_LIMIT
    grid = [factor * rule.after_nms for factor in COUNTS] if bool((beyond & (on >= MIN_IOU)).any()) else []
    yield "rpn.proposals_after_nms", _ranks_above(anchors.surviving_ranks.cpu(), close & beyond, on) + grid
    suppressed = torch.nonzero(close & (fate == Fate.SUPPRESSED))[:, 0].tolist()
    others = anchors.suppressors.tolist()
    ious = [_iou_above(anchors.boxes[index], anchors.boxes[others[index]]) for index in suppressed]
    near = bool(((fate == Fate.SUPPRESSED) & (on >= MIN_IOU)).any())
    yield "rpn.nms_iou", sorted(ious)[:MAX_VALUES] + (_grid(rule.nms_iou, ious) if near else [])


def _of_image_size(question: Question, recording: Recording) -> list[Change]:
    """Larger images, or smaller ones where the object is larger than every anchor."""
    image = recording.predictor.config.image
    changes = []
    for factor in (1 / 2,) if _exceeds_anchors(question, recording) else FACTORS:
        short, long = (max(1, round(factor * side)) for side in (image.short_side, image.long_side))
        sizes = [target_size(part.size, short, long, image.size_rounding) for part in recording.parts]
        if len(sizes) <= MAX_TILES and _pixels(sizes) <= MAX_PIXELS:
            changes.append(Change("image.short_side", short, (f"image.long_side={long}",)))
    return changes


def _exceeds_anchors(question: Question, recording: Recording) -> bool:
    whole = recording.whole
    if whole.first is None:
        return False
    anchors, box = whole.first.anchors.boxes, whole.in_part(question.box)
    areas = (anchors[:, 2] - anchors[:, 0]) * (anchors[:, 3] - anchors[:, 1])
    return float((box[0, 2] - box[0, 0]) * (box[0, 3] - box[0, 1])) > float(areas.max()) if len(areas) else False


def _of_tiles(question: Question, recording: Recording) -> list[Change]:
    """Tiles that the object fits into, smaller than the image or than the present tiles."""
    predictor, image = recording.predictor, recording.predictor.config.image
    if predictor.proposals is not None:  # external proposals are those of whole images
        return []
    start = min(recording.size) if predictor.tiling is None else min(predictor.tiling.side, max(recording.size))
    overlap = DEFAULT_OVERLAP if predictor.tiling is None else predictor.tiling.overlap
    x1, y1, x2, y2 = question.box[0].tolist()
    changes = []
    for share in TILE_SHARES:
        side = _round_number(share * start)
        tiling = Tiling(max(1, side), overlap)
        count = len(tiling.starts(recording.size.height)) * len(tiling.starts(recording.size.width))
        resized = target_size(
            tiling.largest_part(recording.size), image.short_side, image.long_side, image.size_rounding
        )
        fits = side >= MIN_TILE and max(x2 - x1, y2 - y1) <= side
        if fits and count <= MAX_TILES and count * _pixels([resized]) <= MAX_PIXELS:
            changes.append(Change(TILE, side))
    return changes


def _pixels(sizes: Sequence[ImageSize]) -> int:
    return sum(size.height * size.width for size in sizes)


def _nearest(name: str, values: Iterable[float]) -> list[float]:
    """The different values, the nearest to the present one first: scores and sides fall, all others rise."""
    falls = name == CONF or name.endswith(("score_floor", "min_side"))
    return sorted(set(values), reverse=falls)


def _chosen(close: Bool[Tensor, " n"], fate: Int[Tensor, " n"], wanted: Fate, like: Tensor) -> Bool[Tensor, " n"]:
    """The close boxes of one fate, as a mask on the device of the boxes."""
    return (close & (fate == wanted)).to(like.device)


def _below(values: Float[Tensor, " values"]) -> list[float]:
    """A number just below each of the highest values."""
    return [number_below(value) for value in values.sort(descending=True).values[:MAX_VALUES].tolist()]


def _sides_below(boxes: Float[Tensor, "boxes 4"]) -> list[float]:
    """A number just below the shorter side of each of the largest boxes."""
    sides = torch.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    return _below(sides.cpu())


def _iou_above(box: Float[Tensor, " corners"], other: Float[Tensor, " corners"]) -> float:
    """A threshold of NMS just above the IoU of two boxes, with two digits; at most 1."""
    value = float(iou(box.double()[None], other.double()[None])[0, 0])
    return min(1.0, ceil(100 * (value + MARGIN)) / 100)


def _grid(present: float, needed: Sequence[float]) -> list[float]:
    """The thresholds of NMS that are tried beyond the needed ones, and that no IoU equals by a hair's breadth."""
    return [each for each in NMS_GRID if each > present and all(abs(each - other) > 3 * MARGIN for other in needed)]


def _ranks_above(
    ranks: Int[Tensor, " boxes"], chosen: Bool[Tensor, " boxes"], quality: Float[Tensor, " boxes"]
) -> list[float]:
    """Limits just above the nearest ranks of the chosen boxes, and above that of the best one by ``quality``."""
    nearest = ranks[chosen].sort().values[:MAX_VALUES].tolist()
    best = [int(ranks[int(torch.where(chosen, quality, -1).argmax())])] if nearest else []
    return [_rank_above(rank) for rank in nearest + best]


def _rank_above(rank: int) -> float:
    """A limit just above a rank, with two significant digits."""
    unit = int(10 ** max(0, floor(log10(rank + 1)) - 1))
    return float(ceil((rank + 1) / unit) * unit)


def _round_number(value: float) -> int:
    """An integer that is a multiple of 10 from 100 on."""
    return round(value / 10) * 10 if value >= 100 else round(value)


def number_below(value: float) -> float:
    """A number with two digits after the point, or two significant digits, just below a positive one; 0 below 1e-6."""
    if value < 1e-6:
        return 0.0
    digits = max(2, 1 - floor(log10(value)))
    return round(floor(value * (1 - MARGIN) * 10.0**digits) / 10.0**digits, digits)
