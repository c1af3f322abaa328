"""Merging of the detections in overlapping parts of an image, its tiles and the whole image, into one list.

The rule, in this order:

1. A detection is *cut* where it comes near a border of its part that is inside the image. All others are *whole*. An
   object whose sides are shorter than the overlap, less twice what counts as near, is whole in some tile; in the whole
   image all objects are.
2. A cut detection is dropped where a whole one of its class covers most of it. The whole one must have at least half of
   its score: a bad guess at something large must not suppress the objects inside it.
3. Cut detections of one class that are left, come from two parts, and agree within the area that both parts show, are
   pieces of one object that no part shows whole: the smallest box around the pieces replaces them, with the best of
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

NEAR = 0.01
"""Share of the part's side, at least a pixel. Boxes of cut objects end at the border, give or take some pixels."""
COVERED = 0.7
"""Share of a cut detection. The whole box is often the coarser one, so all of it would be too much to ask."""
AS_SURE = 0.5
"""Share of the cut detection's score."""
AGREES = 0.5
"""IoU within what two parts share, as in suppression of detections."""


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Detections of many parts in one list, in pixels of the image."""

    boxes: Float[Tensor, "found 4"]
    scores: Float[Tensor, " found"]
    labels: Int[Tensor, " found"]
    part: Int[Tensor, " found"]
    """Index of the part that each detection was found in."""
    source: Int[Tensor, " found"]
    """Index of each detection in the list of the detections of all parts."""

    def only(self, chosen: Tensor) -> _Found:
        return _Found(
            self.boxes[chosen], self.scores[chosen], self.labels[chosen], self.part[chosen], self.source[chosen]
        )


def merge(
    parts: Sequence[tuple[Tile, Detections]], size: ImageSize, nms_iou: float, *, across_classes: bool = False
) -> Detections:
    """One list, best first, of the detections in the parts of an image; see the rule above.

    Each detection has the index of its part and that of its proposal among those of its part; a detection that was
    joined from pieces has those of its best-scored piece.

    Args:
        parts: at least one: where each lies, and its detections in pixels of the image, on the CPU; the whole image is
            one of them.
        size: of the image.
        nms_iou: of two detections of one class more similar than this, the worse one goes.
        across_classes: of two detections of any classes.
    """
    places = torch.tensor([tile for tile, _ in parts], dtype=torch.float32)
    found = _together([each for _, each in parts])
    cut = _is_cut(found.boxes, places[found.part], size)
    whole, pieces = found.only(~cut), found.only(cut)
    pieces = pieces.only(~_is_covered(pieces, whole, places))
    joined = _joined(pieces, places)
    boxes = torch.cat((whole.boxes, joined.boxes))
    scores = torch.cat((whole.scores, joined.scores))
    labels = torch.cat((whole.labels, joined.labels))
    groups = torch.zeros_like(labels) if across_classes else labels
    kept = nms_per_group(boxes, scores, groups, nms_iou)
    source = torch.cat((whole.source, joined.source))[kept]
    proposals = _proposals_of([each for _, each in parts])
    return Detections(
        boxes[kept],
        scores[kept],
        labels[kept],
        None if proposals is None else proposals[source],
        found.part[source],
    )


def _together(parts: Sequence[Detections]) -> _Found:
    counts = torch.tensor([len(each) for each in parts])
    return _Found(
        torch.cat([each.boxes for each in parts]),
        torch.cat([each.scores for each in parts]),
        torch.cat([each.labels for each in parts]),
        torch.arange(len(parts)).repeat_interleave(counts),
        torch.arange(int(counts.sum())),
    )


def _proposals_of(parts: Sequence[Detections]) -> Int[Tensor, " found"] | None:
    """The index of the proposal of each detection of all parts, among the proposals of its part."""
    known = [each.proposals for each in parts if each.proposals is not None]
    return torch.cat(known) if len(known) == len(parts) else None


def _is_cut(
    boxes: Float[Tensor, "found 4"], places: Float[Tensor, "found 4"], size: ImageSize
) -> Bool[Tensor, " found"]:
    """Which detections come near a border of their part that is inside the image."""
    near = ((places[:, 2:] - places[:, :2]) * NEAR).clamp(min=1)
    ends = places.new_tensor([size.width, size.height])
    at_start = (places[:, :2] > 0) & (boxes[:, :2] - places[:, :2] <= near)
    at_end = (places[:, 2:] < ends) & (places[:, 2:] - boxes[:, 2:] <= near)
    return (at_start | at_end).any(dim=1)


def _is_covered(pieces: _Found, whole: _Found, places: Float[Tensor, "parts 4"]) -> Bool[Tensor, " pieces"]:
    """Which pieces are part of a whole detection; part by part, as all pairs of a large image would fill the memory."""
    result = torch.zeros(len(pieces.part), dtype=torch.bool)
    for part in pieces.part.unique().tolist():
        mine = torch.nonzero(pieces.part == part).flatten()
        own, others = pieces.only(mine), whole.only(_meets(whole.boxes, places[part]))
        fits = ioa(own.boxes, others.boxes) >= COVERED
        fits &= own.labels[:, None] == others.labels
        fits &= others.scores >= AS_SURE * own.scores[:, None]
        result[mine] = fits.any(dim=1)
    return result


def _joined(pieces: _Found, places: Float[Tensor, "parts 4"]) -> _Found:
    """Pieces of one object become one detection, in the place of the first; it has the source of the best-scored."""
    object_of = _connected(len(pieces.part), _same_objects(pieces, places))
    first, index = object_of.unique(return_inverse=True)
    rows = index[:, None].expand(-1, 2)
    start = pieces.boxes[first, :2].scatter_reduce(0, rows, pieces.boxes[:, :2], "amin")
    end = pieces.boxes[first, 2:].scatter_reduce(0, rows, pieces.boxes[:, 2:], "amax")
    scores = pieces.scores[first].scatter_reduce(0, index, pieces.scores, "amax")
    ranked = pieces.scores.argsort(descending=True, stable=True)
    rank = torch.empty_like(ranked).scatter(0, ranked, torch.arange(len(ranked)))
    best = ranked[rank[first].scatter_reduce(0, index, rank, "amin")]
    boxes = torch.cat((start, end), dim=1)
    return _Found(boxes, scores, pieces.labels[first], pieces.part[first], pieces.source[best])


def _same_objects(pieces: _Found, places: Float[Tensor, "parts 4"]) -> Int[Tensor, "pairs 2"]:
    """Pairs of pieces of one class, found in two parts, that agree where both parts see."""
    pairs = [torch.zeros(0, 2, dtype=torch.int64)]
    for part in pieces.part.unique().tolist():
        mine = torch.nonzero(pieces.part == part).flatten()
        others = torch.nonzero((pieces.part > part) & _meets(pieces.boxes, places[part])).flatten()
        one, other = torch.nonzero(pieces.labels[mine][:, None] == pieces.labels[others], as_tuple=True)
        pair = torch.stack((mine[one], others[other]), dim=1)
        seen_by_both = _shared(places[part].expand(len(pair), 4), places[pieces.part[pair[:, 1]]])
        a, b = (_shared(pieces.boxes[pair[:, side]], seen_by_both) for side in (0, 1))
        pairs.append(pair[iou_from_intersection(intersection(a, b), a, b) >= AGREES])
    return torch.cat(pairs)


def _connected(count: int, pairs: Int[Tensor, "pairs 2"]) -> Int[Tensor, " count"]:
    """For each of ``count`` things the lowest one that it is tied to, by any number of pairs."""
    lowest = torch.arange(count)
    while len(pairs):
        least = lowest[pairs].amin(dim=1)
        lower = lowest.scatter_reduce(0, pairs.flatten(), least.repeat_interleave(2), "amin")
        if torch.equal(lower, lowest):
            break
        lowest = lower
    return lowest


def _meets(boxes: Float[Tensor, "boxes 4"], place: Float[Tensor, " corners"]) -> Bool[Tensor, " boxes"]:
    """Which boxes have a part of the area in common with a place."""
    return ((boxes[:, :2] < place[2:]) & (boxes[:, 2:] > place[:2])).all(dim=1)


def _shared(a: Float[Tensor, "pairs 4"], b: Float[Tensor, "pairs 4"]) -> Float[Tensor, "pairs 4"]:
    """What each box has in common with its partner; turned inside out where that is nothing."""
    return torch.cat((torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])), dim=1)
