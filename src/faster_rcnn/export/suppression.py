"""The selections of an exported graph: NMS of many groups as a mask of the survivors, and the best scores in order.

``torch.export`` takes ``torchvision.ops.nms``, one call for all groups, whose boxes are moved apart in float64. ONNX
has boxes in float32 alone, which such a shift would cost their fractions; its own operator NonMaxSuppression takes many
groups and shifts nothing. And ONNX has no stable sort, but its TopK prefers the lower index of equal values. So an ONNX
file is made of a graph with operators of our own, which ``onnx_operators`` translates; in torch they compute the same
as the first way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchvision.ops import nms as _nms  # noqa: F401  # registers torch.ops.torchvision.nms

NO_BOX = -1.0
"""Score of a place without a box."""
SPARE = ((-2.0, -2.0, -1.0, -1.0), (-4.0, -4.0, -3.0, -3.0))
"""Two boxes outside of every image."""


@dataclass(frozen=True, slots=True)
class Selections:
    """Both selections, as one kind of file can hold them."""

    suppress: Callable[[Tensor, Tensor, float, int], Tensor]
    """From boxes (groups, N, 4), scores (groups, N), an IoU threshold and a limit of survivors to their mask."""
    best: Callable[[Tensor, int], tuple[Tensor, Tensor]]
    """From scores (rows, N) and a count to the highest scores of each row and their indices, (rows, count) both."""


def nms_by_torchvision(
    boxes: Float[Tensor, "groups boxes 4"], scores: Float[Tensor, "groups boxes"], iou_threshold: float, limit: int
) -> Bool[Tensor, "groups boxes"]:
    """Mask of the survivors of each group; places whose score is ``NO_BOX`` hold no box.

    Boxes are clipped: no coordinate is below 0. ``limit`` is a permission to stop, of which no use is made here.
    """
    has_box = scores > NO_BOX / 2  # (G, N)
    if iou_threshold >= 1:
        return has_box
    extent = boxes.max().double() + 1  # clipped boxes begin at 0
    shift = torch.arange(boxes.shape[0], device=boxes.device).double()[:, None, None] * extent  # (G, 1, 1)
    places = torch.nonzero(has_box.flatten())[:, 0]
    # torch.export takes it from torchvision that at least two boxes survive, and a program checks that when it runs. So
    # two boxes that overlap nothing are added; their place is the last one of the mask, which is cut off.
    spare, total = boxes.new_tensor(SPARE).double(), has_box.numel()
    apart = torch.cat(((boxes.double() + shift).flatten(0, 1)[places], spare))
    worst = scores.new_full((len(SPARE),), NO_BOX)
    kept = torch.ops.torchvision.nms(apart, torch.cat((scores.flatten()[places], worst)).double(), iou_threshold)
    places = torch.cat((places, places.new_full((len(SPARE),), total)))
    mask = torch.zeros(total + 1, dtype=torch.bool, device=boxes.device)
    return mask.index_fill(0, places[kept], True)[:-1].reshape(has_box.shape)


def best_by_sorting(scores: Float[Tensor, "rows scores"], count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` highest scores of each row, best first, and their indices; of equal scores the first ones."""
    ranked = scores.sort(dim=1, descending=True, stable=True)
    return ranked.values[:, :count], ranked.indices[:, :count]


@dataclass(frozen=True, slots=True)
class OnnxOperators:
    """Operators that an ONNX file can hold, with the same results as the functions above."""

    nms_of_groups: torch._ops.OpOverload
    best_of_rows: torch._ops.OpOverload


@cache
def onnx_operators() -> OnnxOperators:
    """``faster_rcnn::nms_of_groups`` and ``faster_rcnn::best_of_rows``, which the first call registers with torch."""
    # Schemas are written out: torch would read them off the types, which a checker of types may wrap.
    nms_schema = "(Tensor boxes, Tensor scores, float iou_threshold, int limit) -> Tensor"

    @torch.library.custom_op("faster_rcnn::nms_of_groups", mutates_args=(), schema=nms_schema)
    def nms_of_groups(boxes: Tensor, scores: Tensor, iou_threshold: float, limit: int) -> Tensor:
        return nms_by_torchvision(boxes, scores, iou_threshold, limit)

    best_schema = "(Tensor scores, int count) -> (Tensor, Tensor)"

    @torch.library.custom_op("faster_rcnn::best_of_rows", mutates_args=(), schema=best_schema)
    def best_of_rows(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
        values, indices = best_by_sorting(scores, count)
        return values.contiguous(), indices.contiguous()

    nms_of_groups.register_fake(lambda boxes, scores, threshold, limit: torch.empty_like(scores, dtype=torch.bool))
    best_of_rows.register_fake(
        lambda scores, count: (
            scores.new_empty(scores.shape[0], count),
            scores.new_empty(scores.shape[0], count, dtype=torch.int64),
        )
    )
    ours = torch.ops.faster_rcnn
    return OnnxOperators(ours.nms_of_groups.default, ours.best_of_rows.default)


def nms_by_onnx(boxes: Tensor, scores: Tensor, iou_threshold: float, limit: int) -> Tensor:
    """Do what ``nms_by_torchvision`` does, by the operator that an ONNX file can hold."""
    if iou_threshold >= 1:
        return scores > NO_BOX / 2
    kept: Tensor = onnx_operators().nms_of_groups(boxes, scores, iou_threshold, limit)
    return kept


def best_by_onnx(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Do what ``best_by_sorting`` does, by the operator that an ONNX file can hold."""
    values, indices = onnx_operators().best_of_rows(scores, count)
    return values, indices


IN_TORCH = Selections(nms_by_torchvision, best_by_sorting)
IN_ONNX = Selections(nms_by_onnx, best_by_onnx)
