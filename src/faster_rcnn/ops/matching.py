"""References (anchors, then proposals) compared with the truths of their image: overlaps, and who is whose best.

Most references lie far from most truths. On a CPU, where many are compared, pairs that cannot overlap are left out,
block by block; a GPU would have to be waited for to know which, and compares all of them. Both give the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from faster_rcnn.ops.boxes import intersection, ioa_from_intersection, iou_from_intersection
from faster_rcnn.structures import GroundTruth

IGNORED_IOA_THRESHOLD = 0.5
"""A reference that lies at least this much inside an ignored region is neutral."""

MAX_PAIRS = 2**21
"""Truths times references that are compared at once: 8 MB for each number of a pair, which a cache can hold."""

BLOCK_SIZE = 32
"""References that are left out together. Anchors that follow each other are neighbours."""
MIN_PAIRS_FOR_BLOCKS = 2**17
"""From so many on it takes less time to find out what can be left out."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What is known of each reference after some truths."""

    overlap: Float[Tensor, " references"]
    """The highest with a truth, ignored ones not counted."""
    truth: Int[Tensor, " references"]
    """The index of that truth, of the first one where several overlap as much; 0 where none does."""
    is_best: Bool[Tensor, " references"]
    """Whether no reference overlaps one of the truths more."""
    in_ignored: Bool[Tensor, " references"]

    def merged_with(self, later: Comparison, first: int) -> Comparison:
        """The same after more truths, which begin at the index ``first``."""
        higher = later.overlap > self.overlap
        return Comparison(
            overlap=torch.where(higher, later.overlap, self.overlap),
            truth=torch.where(higher, later.truth + first, self.truth),
            is_best=self.is_best | later.is_best,
            in_ignored=self.in_ignored | later.in_ignored,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """References in blocks of neighbours, of which whole ones can be left out; the last one is filled up."""

    count: int
    """Of references."""
    boxes: Float[Tensor, "blocks size 4"]
    eligible: Bool[Tensor, "blocks size"] | None
    bounds: Float[Tensor, "blocks 4"]
    """Around all boxes of a block."""

    @staticmethod
    def of(references: Float[Tensor, "references 4"], eligible: Bool[Tensor, " references"] | None) -> Blocks:
        """Of at least one reference."""
        boxes = _in_blocks(references)
        bounds = torch.cat((boxes[..., :2].amin(dim=1), boxes[..., 2:].amax(dim=1)), dim=1)
        return Blocks(len(references), boxes, None if eligible is None else _in_blocks(eligible), bounds)

    def near(self, truths: Float[Tensor, "truths 4"]) -> Bool[Tensor, "truths blocks"] | None:
        """Within the bounds of which block a truth overlaps something; ``None`` where that leaves too little out."""
        near = intersection(truths[:, None], self.bounds) > 0
        return near if int(near.sum()) <= near.numel() / 2 else None


def compare(
    references: Float[Tensor, "references 4"], truth: GroundTruth, eligible: Bool[Tensor, " references"] | None
) -> Comparison:
    """Each reference with all truths, of which there is at least one; those not ``eligible`` overlap nothing.

    So many truths are compared at once as ``MAX_PAIRS`` allows: memory stays flat.
    """
    many = references.device.type == "cpu" and len(references) * len(truth.boxes) >= MIN_PAIRS_FOR_BLOCKS
    blocks = Blocks.of(references, eligible) if many else None
    rows = max(1, MAX_PAIRS // max(1, len(references)))
    parts = zip(truth.boxes.split(rows), truth.ignored.split(rows), strict=True)
    done: Comparison | None = None
    for number, (boxes, ignored) in enumerate(parts):
        near = None if blocks is None else blocks.near(boxes)
        if blocks is None or near is None:
            some = compare_all(references, boxes, ignored, eligible)
        else:
            some = match_blocks(blocks, boxes, ignored, near)
        done = some if done is None else done.merged_with(some, number * rows)
    assert done is not None
    return done


def compare_all(
    references: Float[Tensor, "references 4"],
    boxes: Float[Tensor, "truths 4"],
    ignored: Bool[Tensor, " truths"],
    eligible: Bool[Tensor, " references"] | None,
) -> Comparison:
    """The plain way: all pairs."""
    overlaps, inside = _overlaps(boxes[:, None], references, ignored[:, None], eligible)
    overlap, best = overlaps.max(dim=0)
    highest = overlaps.amax(dim=1, keepdim=True) if len(references) else overlaps
    is_best = (overlaps == highest) & (highest > 0)
    return Comparison(overlap, best, is_best.any(dim=0), inside.any(dim=0))


def match_blocks(
    blocks: Blocks, boxes: Float[Tensor, "truths 4"], ignored: Bool[Tensor, " truths"], near: Bool[Tensor, "truths _"]
) -> Comparison:
    """The same of those pairs of a truth and a block of references that are ``near``."""
    truth, block = near.nonzero(as_tuple=True)
    able = None if blocks.eligible is None else blocks.eligible[block]
    overlaps, inside = _overlaps(boxes[truth, None], blocks.boxes[block], ignored[truth, None], able)
    places, shape = block[:, None].expand_as(overlaps), (near.shape[1], BLOCK_SIZE)
    overlap = overlaps.new_zeros(shape).scatter_reduce_(0, places, overlaps, "amax")
    as_much = torch.where((overlaps == overlap[block]) & (overlaps > 0), truth[:, None], len(boxes))
    first = as_much.new_full(shape, len(boxes)).scatter_reduce_(0, places, as_much, "amin")
    of_pairs = overlaps.amax(dim=1)
    highest = of_pairs.new_zeros(len(boxes)).scatter_reduce_(0, truth, of_pairs, "amax")[truth, None]
    is_best = _any_of_block((overlaps == highest) & (highest > 0), block, shape)
    found = overlap, first.masked_fill_(overlap == 0, 0), is_best, _any_of_block(inside, block, shape)
    return Comparison(*(each.flatten()[: blocks.count] for each in found))


def _overlaps(
    boxes: Tensor, references: Tensor, ignored: Tensor, eligible: Tensor | None
) -> tuple[Float[Tensor, "pairs size"], Bool[Tensor, "pairs size"]]:
    """Overlaps that count, and which references lie inside of ignored truths."""
    shared = intersection(boxes, references)
    inside = (ioa_from_intersection(shared, references) >= IGNORED_IOA_THRESHOLD) & ignored
    overlaps = iou_from_intersection(shared, boxes, references).masked_fill_(ignored, 0)
    if eligible is not None:
        overlaps.masked_fill_(~eligible, 0)
    return overlaps, inside


def _any_of_block(
    true: Bool[Tensor, "pairs size"], block: Int[Tensor, " pairs"], shape: tuple[int, int]
) -> Bool[Tensor, "blocks size"]:
    """For each reference, whether something is true in one of its pairs."""
    pair, column = true.nonzero(as_tuple=True)
    result = true.new_zeros(shape)
    result[block[pair], column] = True
    return result


def _in_blocks(rows: Tensor) -> Tensor:
    """(references, ...) to (blocks, BLOCK_SIZE, ...); the last row fills what is left of the last block."""
    missing = -len(rows) % BLOCK_SIZE
    return torch.cat((rows, rows[-1:].expand(missing, *rows.shape[1:]))).reshape(-1, BLOCK_SIZE, *rows.shape[1:])
