"""Merging of the detections in overlapping parts of an image, its tiles and the whole image, into one list.

The rule, in this order:

1. A detection is *cut* where it comes near a border of its part that is inside the image. All others are *whole*. An
   object whose sides are shorter than the overlap, less twice the distance that counts as near, is whole in some tile;
   every object is whole in the whole image.
2. A cut detection is dropped where a whole one of its class covers at least 70 % of it. The whole one must have at
   least half of its score: a bad guess at something large must not suppress the objects inside it.
3. Cut detections of one class that are left, come from two parts, and agree within the area that both parts show, are
   pieces of one object that no part shows whole: the smallest box around the pieces replaces them, with the highest of
   their scores.
4. NMS per class removes duplicates among the detections that are left, as in a single image.

So a detection is dropped only in favour of one that stays, or that itself gave way to a better one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from faster_rcnn.inference.tiles import Tile
from faster_rcnn.ops.boxes import intersection, ioa, iou_from_intersection
from faster_rcnn.ops.nms import nms_per_group
from faster_rcnn.structures import Detections, ImageSize

NEAR_BORDER = 0.01
"""Distance to a border that counts as near, as a share of the part's side; at least a pixel.

Boxes of cut objects end at the border, give or take some pixels.
"""
MIN_IOA = 0.7
"""Share of a cut detection's area that a whole one covers. The whole box is often the coarser one, so 1 is too much."""
MIN_SCORE_RATIO = 0.5
"""Score of a whole detection, as a share of the score of the cut one that it replaces."""
MIN_IOU = 0.5
"""IoU of two pieces within the area that both of their parts show, as in NMS of detections."""


@dataclass(frozen=True, slots=True, eq=False)
class _Candidates:
    """Detections of many parts in one list, in pixels of the image."""

    boxes: Float[Tensor, "candidates 4"]
    scores: Float[Tensor, " candidates"]
    labels: Int[Tensor, " candidates"]
    part: Int[Tensor, " candidates"]
    """Index of the part in which each was detected."""
    source: Int[Tensor, " candidates"]
    """Index of each in the list of the detections of all parts."""

    def at(self, chosen: Tensor) -> _Candidates:
        """The candidates at some indices, or where a mask is true."""
        return _Candidates(
            self.boxes[chosen], self.scores[chosen], self.labels[chosen], self.part[chosen], self.source[chosen]
        )


def merge(
    parts: Sequence[tuple[Tile, Detections]], size: ImageSize, nms_iou: float, *, across_classes: bool = False
) -> Detections:
    """Merge the detections of the parts of an image into one list, best first, by the rule at the top of this file.

    Each detection has the index of its part, and the index of its proposal among the proposals of that part; a
    detection that was joined from pieces has those of the piece with the highest score.

    Args:
        parts: at least one part: its place, and its detections in pixels of the image, on the CPU. The whole image is
            one of them.
        size: size of the image.
        nms_iou: of two detections of one class whose IoU is greater, NMS removes the one of lower score.
        across_classes: whether NMS compares detections of different classes, too.
    """
    places = torch.tensor([tile for tile, _ in parts], dtype=torch.float32)  # (parts, 4)
    found = _together([each for _, each in parts])
    cut = _is_cut(found.boxes, places[found.part], size)  # (candidates,)
    whole, pieces = found.at(~cut), found.at(cut)
    pieces = pieces.at(~_is_covered(pieces, whole, places))
    joined = _joined(pieces, places)
    boxes = torch.cat((whole.boxes, joined.boxes))  # (left, 4)
    scores = torch.cat((whole.scores, joined.scores))  # (left,)
    labels = torch.cat((whole.labels, joined.labels))  # (left,)
    groups = torch.zeros_like(labels) if across_classes else labels  # (left,)
    kept = nms_per_group(boxes, scores, groups, nms_iou)  # (kept,), indices of those left, best first
    source = torch.cat((whole.source, joined.source))[kept]  # (kept,), indices of candidates
    proposals = _proposals_of([each for _, each in parts])  # (candidates,)
    return Detections(
        boxes[kept],
        scores[kept],
        labels[kept],
        None if proposals is None else proposals[source],
        found.part[source],
    )


def _together(parts: Sequence[Detections]) -> _Candidates:
    """The detections of all parts in one list, part by part."""
    counts = torch.tensor([len(each) for each in parts])  # (parts,)
    return _Candidates(
        torch.cat([each.boxes for each in parts]),  # (candidates, 4)
        torch.cat([each.scores for each in parts]),  # (candidates,)
        torch.cat([each.labels for each in parts]),  # (candidates,)
        torch.arange(len(parts)).repeat_interleave(counts),  # (candidates,)
        torch.arange(int(counts.sum())),  # (candidates,)
    )


def _proposals_of(parts: Sequence[Detections]) -> Int[Tensor, " candidates"] | None:
    """The proposal index of each detection of all parts, among the proposals of its part.

    ``None`` where the detections of some part come without the indices of their proposals.
    """
    known = [each.proposals for each in parts if each.proposals is not None]
    return torch.cat(known) if len(known) == len(parts) else None


def _is_cut(
    boxes: Float[Tensor, "candidates 4"], places: Float[Tensor, "candidates 4"], size: ImageSize
) -> Bool[Tensor, " candidates"]:
    """Which boxes come near a border of their part, at ``places``, that is inside the image."""
    start, end = places[:, :2], places[:, 2:]  # (candidates, 2): x and y
    near = ((end - start) * NEAR_BORDER).clamp(min=1)  # (candidates, 2), pixels
    image_end = places.new_tensor([size.width, size.height])  # (2,)
    at_start = (start > 0) & (boxes[:, :2] - start <= near)  # (candidates, 2)
    at_end = (end < image_end) & (end - boxes[:, 2:] <= near)  # (candidates, 2)
    return (at_start | at_end).any(dim=1)


def _is_covered(pieces: _Candidates, whole: _Candidates, places: Float[Tensor, "parts 4"]) -> Bool[Tensor, " pieces"]:
    """Which pieces give way to a whole detection.

    The pairs are compared part by part, as all pairs of a large image would fill the memory.
    """
    result = torch.zeros(len(pieces.part), dtype=torch.bool)
    for part in pieces.part.unique().tolist():
        mine = torch.nonzero(pieces.part == part).flatten()  # (mine,), indices of pieces
        own, others = pieces.at(mine), whole.at(_meets(whole.boxes, places[part]))
        fits = ioa(own.boxes, others.boxes) >= MIN_IOA  # (mine, others)
        fits &= own.labels[:, None] == others.labels  # (mine, others)
        fits &= others.scores >= MIN_SCORE_RATIO * own.scores[:, None]  # (mine, others)
        result[mine] = fits.any(dim=1)
    return result


def _joined(pieces: _Candidates, places: Float[Tensor, "parts 4"]) -> _Candidates:
    """One candidate for the pieces of each object, in the place of its first piece.

    It has the source of the piece with the highest score, the first of these where several have it.
    """
    object_of = _connected(len(pieces.part), _same_objects(pieces, places))  # (pieces,), index of the first piece
    first, index = object_of.unique(return_inverse=True)  # (objects,), (pieces,)
    rows = index[:, None].expand(-1, 2)  # (pieces, 2)
    start = pieces.boxes[first, :2].scatter_reduce(0, rows, pieces.boxes[:, :2], "amin")  # (objects, 2)
    end = pieces.boxes[first, 2:].scatter_reduce(0, rows, pieces.boxes[:, 2:], "amax")  # (objects, 2)
    scores = pieces.scores[first].scatter_reduce(0, index, pieces.scores, "amax")  # (objects,)
    ranked = pieces.scores.argsort(descending=True, stable=True)  # (pieces,), indices of pieces, best first
    rank = torch.empty_like(ranked).scatter(0, ranked, torch.arange(len(ranked)))  # (pieces,), 0 for the best
    best = ranked[rank[first].scatter_reduce(0, index, rank, "amin")]  # (objects,), indices of pieces
    boxes = torch.cat((start, end), dim=1)  # (objects, 4)
    return _Candidates(boxes, scores, pieces.labels[first], pieces.part[first], pieces.source[best])


def _same_objects(pieces: _Candidates, places: Float[Tensor, "parts 4"]) -> Int[Tensor, "pairs 2"]:
    """Pairs of pieces of one class, of two parts, that agree within the area that both parts show."""
    pairs = [torch.zeros(0, 2, dtype=torch.int64)]
    for part in pieces.part.unique().tolist():
        mine = torch.nonzero(pieces.part == part).flatten()  # (mine,), indices of pieces
        others = torch.nonzero((pieces.part > part) & _meets(pieces.boxes, places[part])).flatten()  # (others,)
        same_class = pieces.labels[mine][:, None] == pieces.labels[others]  # (mine, others)
        one, other = torch.nonzero(same_class, as_tuple=True)  # (pairs,), (pairs,)
        pair = torch.stack((mine[one], others[other]), dim=1)  # (pairs, 2), indices of pieces
        in_both = _intersection_box(places[part].expand(len(pair), 4), places[pieces.part[pair[:, 1]]])  # (pairs, 4)
        a, b = (_intersection_box(pieces.boxes[pair[:, side]], in_both) for side in (0, 1))  # (pairs, 4) each
        agreement = iou_from_intersection(intersection(a, b), a, b)  # (pairs,)
        pairs.append(pair[agreement >= MIN_IOU])
    return torch.cat(pairs)


def _connected(count: int, pairs: Int[Tensor, "pairs 2"]) -> Int[Tensor, " count"]:
    """For each of ``count`` indices, the lowest index that it is connected to by any number of pairs."""
    lowest = torch.arange(count)
    while len(pairs):
        lower_of_pair = lowest[pairs].amin(dim=1)  # (pairs,)
        lower = lowest.scatter_reduce(0, pairs.flatten(), lower_of_pair.repeat_interleave(2), "amin")  # (count,)
        if torch.equal(lower, lowest):
            break
        lowest = lower
    return lowest


def _meets(boxes: Float[Tensor, "boxes 4"], place: Float[Tensor, " corners"]) -> Bool[Tensor, " boxes"]:
    """Which boxes share some area with a place."""
    return ((boxes[:, :2] < place[2:]) & (boxes[:, 2:] > place[:2])).all(dim=1)


def _intersection_box(a: Float[Tensor, "pairs 4"], b: Float[Tensor, "pairs 4"]) -> Float[Tensor, "pairs 4"]:
    """The box that the two boxes of each pair share; turned inside out where they share nothing."""
    start, end = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])  # (pairs, 2) each
    return torch.cat((start, end), dim=1)
