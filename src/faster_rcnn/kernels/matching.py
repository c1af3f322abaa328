"""References compared with truths without the pairs that cannot overlap: ``ops.assignment.compare_all`` in less time.

Most references lie far from most truths. On a CPU, where many are compared, pairs are skipped block by block. A GPU
would have to be waited for to learn which, and compares all of them. Both ways give the same bits.

Anchors that follow each other are neighbours, so a block of ``BLOCK_SIZE`` of them has small bounds::

    references   r0 ... r31 | r32 ... r63 | ...      blocks 0, 1, ... with the bounds of their boxes
    truth t      bounds of block 1 intersect t, all others do not: the only pair is (t, block 1)

In comments P is the number of such pairs, B that of blocks, S is ``BLOCK_SIZE``, T the number of truths.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from faster_rcnn.ops.assignment import Comparison, compare_all, countable_ious
from faster_rcnn.ops.boxes import intersection
from faster_rcnn.structures import GroundTruth

MAX_PAIRS = 2**21
"""Truths times references that are compared at a time: 8 MB for each number of a pair, which a cache can hold."""

BLOCK_SIZE = 32
"""References that are skipped together."""
MIN_PAIRS_FOR_BLOCKS = 2**17
"""From so many pairs on, finding out which can be skipped takes less time than computing them."""


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """References in blocks of neighbours; the last block is filled up with its last reference."""

    count: int
    """Number of references."""
    boxes: Float[Tensor, "blocks size 4"]
    eligible: Bool[Tensor, "blocks size"] | None
    bounds: Float[Tensor, "blocks 4"]
    """The smallest box around all boxes of a block."""

    @staticmethod
    def of(references: Float[Tensor, "references 4"], eligible: Bool[Tensor, " references"] | None) -> Blocks:
        """Divide at least one reference into blocks."""
        boxes = _in_blocks(references)  # (B, S, 4)
        bounds = torch.cat((boxes[..., :2].amin(dim=1), boxes[..., 2:].amax(dim=1)), dim=1)  # (B, 4)
        return Blocks(len(references), boxes, None if eligible is None else _in_blocks(eligible), bounds)

    def near(self, truths: Float[Tensor, "truths 4"]) -> Bool[Tensor, "truths blocks"] | None:
        """Mask of the pairs whose bounds intersect; ``None`` if more than half do, so that skipping would not pay."""
        near = intersection(truths[:, None], self.bounds) > 0  # (T, B)
        return near if int(near.sum()) <= near.numel() / 2 else None


def compare(
    references: Float[Tensor, "references 4"], truth: GroundTruth, eligible: Bool[Tensor, " references"] | None
) -> Comparison:
    """Do what ``ops.assignment.compare_all`` does, few truths at a time (``MAX_PAIRS``), so that memory stays flat."""
    many = references.device.type == "cpu" and len(references) * len(truth.boxes) >= MIN_PAIRS_FOR_BLOCKS
    blocks = Blocks.of(references, eligible) if many else None
    rows = max(1, MAX_PAIRS // max(1, len(references)))
    fields = truth.boxes.split(rows), truth.labels.split(rows), truth.ignored.split(rows)
    done: Comparison | None = None
    for number, fields_of_some in enumerate(zip(*fields, strict=True)):
        some = GroundTruth(*fields_of_some)
        near = None if blocks is None else blocks.near(some.boxes)
        if blocks is None or near is None:
            found = compare_all(references, some, eligible)
        else:
            found = match_blocks(blocks, some, near)
        done = found if done is None else merged(done, found, number * rows)
    assert done is not None
    return done


def merged(earlier: Comparison, later: Comparison, first: int) -> Comparison:
    """Combine comparisons of the same references with earlier and later truths; the later indices start at ``first``.

    Where both have the same IoU, the earlier truth stays.
    """
    higher = later.iou > earlier.iou  # (references,)
    return Comparison(
        iou=torch.where(higher, later.iou, earlier.iou),
        truth=torch.where(higher, later.truth + first, earlier.truth),
        is_best=earlier.is_best | later.is_best,
        in_ignored=earlier.in_ignored | later.in_ignored,
    )


def match_blocks(blocks: Blocks, truths: GroundTruth, near: Bool[Tensor, "truths blocks"]) -> Comparison:
    """Do what ``compare_all`` does, with those pairs of a truth and a block that are ``near``."""
    count = len(truths.boxes)  # T
    truth, block = near.nonzero(as_tuple=True)  # (P,) each
    eligible = None if blocks.eligible is None else blocks.eligible[block]  # (P, S)
    ious, inside = countable_ious(truths.boxes[truth, None], blocks.boxes[block], truths.ignored[truth, None], eligible)
    # (P, S) both
    rows, shape = block[:, None].expand_as(ious), (near.shape[1], BLOCK_SIZE)  # (P, S); the shape (B, S)
    iou = ious.new_zeros(shape).scatter_reduce_(0, rows, ious, "amax")  # (B, S): highest of each reference
    candidates = torch.where((ious == iou[block]) & (ious > 0), truth[:, None], count)  # (P, S): truth where highest
    first = candidates.new_full(shape, count).scatter_reduce_(0, rows, candidates, "amin")  # (B, S)
    of_pairs = ious.amax(dim=1)  # (P,)
    highest = of_pairs.new_zeros(count).scatter_reduce_(0, truth, of_pairs, "amax")[truth, None]  # (P, 1): of its truth
    is_best = _any_of_block((ious == highest) & (highest > 0), block, shape)  # (B, S)
    found = iou, first.masked_fill_(iou == 0, 0), is_best, _any_of_block(inside, block, shape)
    return Comparison(*(each.flatten()[: blocks.count] for each in found))


def _any_of_block(
    true: Bool[Tensor, "pairs size"], block: Int[Tensor, " pairs"], shape: tuple[int, int]
) -> Bool[Tensor, "blocks size"]:
    """Find for each reference whether something is true in one of its pairs."""
    pair, column = true.nonzero(as_tuple=True)  # as many as are true
    result = true.new_zeros(shape)  # (B, S)
    result[block[pair], column] = True
    return result


def _in_blocks(rows: Tensor) -> Tensor:
    """Reshape (references, ...) to (B, S, ...); the last row fills the rest of the last block."""
    missing = -len(rows) % BLOCK_SIZE
    return torch.cat((rows, rows[-1:].expand(missing, *rows.shape[1:]))).reshape(-1, BLOCK_SIZE, *rows.shape[1:])
