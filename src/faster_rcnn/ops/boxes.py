"""Boxes as (x1, y1, x2, y2) in continuous pixels: x grows to the right, y downwards, width = x2 - x1.

A pixel at column c covers [c, c + 1); there is no "+ 1" anywhere. Boxes are float32 under any autocast.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from faster_rcnn.ops.constants import constant
from faster_rcnn.structures import ImageSize


def area(boxes: Float[Tensor, "*boxes 4"]) -> Float[Tensor, "*boxes"]:
    """Area of each box in square pixels; 0 for a box whose x2 is left of x1, or y2 above y1.

    >>> area(torch.tensor([[0.0, 0.0, 4.0, 3.0]]))
    tensor([12.])
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    return (x2 - x1).clamp(min=0) * (y2 - y1).clamp(min=0)


def intersection(a: Float[Tensor, "*a 4"], b: Float[Tensor, "*b 4"]) -> Float[Tensor, "*pairs"]:
    """Area in square pixels that the boxes of each pair share; the shapes before the coordinates broadcast to pairs.

    >>> intersection(torch.tensor([[0.0, 0.0, 4.0, 4.0]]), torch.tensor([[2.0, 1.0, 9.0, 3.0]]))
    tensor([4.])
    """
    width = torch.minimum(a[..., 2], b[..., 2]) - torch.maximum(a[..., 0], b[..., 0])
    height = torch.minimum(a[..., 3], b[..., 3]) - torch.maximum(a[..., 1], b[..., 1])
    return width.clamp_(min=0).mul_(height.clamp_(min=0))


def iou(a: Float[Tensor, "a 4"], b: Float[Tensor, "b 4"]) -> Float[Tensor, "a b"]:
    """Intersection over union (IoU) of every box of ``a`` with every box of ``b``, 0..1; 0 for empty boxes.

    >>> iou(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[1.0, 0.0, 3.0, 2.0], [5.0, 5.0, 6.0, 6.0]]))
    tensor([[0.3333, 0.0000]])
    """
    a, b = a[:, None], b[None]
    return iou_from_intersection(intersection(a, b), a, b)


def iou_from_intersection(
    shared: Float[Tensor, "*pairs"], a: Float[Tensor, "*a 4"], b: Float[Tensor, "*b 4"]
) -> Float[Tensor, "*pairs"]:
    """IoU of each pair of boxes, elementwise, from the area that they share (``intersection``)."""
    union = (area(a) + area(b)).sub_(shared)
    return shared / union.clamp_(min=torch.finfo(union.dtype).tiny)


def ioa(a: Float[Tensor, "a 4"], b: Float[Tensor, "b 4"]) -> Float[Tensor, "a b"]:
    """Intersection over the area of ``a`` (IoA) of all boxes with all, 0..1: COCO's overlap with a crowd ``b``.

    >>> ioa(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[1.0, 0.0, 9.0, 9.0]]))
    tensor([[0.5000]])
    """
    a, b = a[:, None], b[None]
    return ioa_from_intersection(intersection(a, b), a)


def ioa_from_intersection(shared: Float[Tensor, "*pairs"], boxes: Float[Tensor, "*boxes 4"]) -> Float[Tensor, "*pairs"]:
    """Intersection over the area of ``boxes`` (IoA), elementwise, from the area that they share with other boxes."""
    own = area(boxes)
    return shared / own.clamp(min=torch.finfo(own.dtype).tiny)


def clip(boxes: Float[Tensor, "*any 4"], size: ImageSize) -> Float[Tensor, "*any 4"]:
    """The part of each box inside the image: x in [0, width], y in [0, height].

    >>> clip(torch.tensor([[-3.0, 1.0, 50.0, 9.0]]), ImageSize(height=5, width=20))
    tensor([[ 0.,  1., 20.,  5.]])
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    width, height = float(size.width), float(size.height)
    return torch.stack((x1.clamp(0, width), y1.clamp(0, height), x2.clamp(0, width), y2.clamp(0, height)), dim=-1)


def limits_of(sizes: Sequence[ImageSize], boxes: Float[Tensor, "*any 4"]) -> Float[Tensor, "images 4"]:
    """The largest coordinates of boxes inside each image, (width, height, width, height), on the device of ``boxes``.

    >>> limits_of([ImageSize(height=5, width=20)], torch.zeros(0, 4))
    tensor([[20.,  5., 20.,  5.]])
    """
    rows = [[size.width, size.height] * 2 for size in sizes]
    return constant(rows, boxes.device, torch.float32).reshape(-1, 4)


def clip_to(boxes: Float[Tensor, "*any 4"], limits: Float[Tensor, "*limits 4"]) -> Float[Tensor, "*any 4"]:
    """Do what ``clip`` does, to an image of its own for each box; ``limits`` are rows of ``limits_of``, broadcast.

    >>> clip_to(torch.tensor([[-3.0, 1.0, 50.0, 9.0]]), torch.tensor([[20.0, 5.0, 20.0, 5.0]]))
    tensor([[ 0.,  1., 20.,  5.]])
    """
    return boxes.clamp(min=0).minimum(limits)


def inside(boxes: Float[Tensor, "boxes 4"], size: ImageSize) -> Bool[Tensor, " boxes"]:
    """Mask of the boxes that do not cross the border of the image.

    >>> inside(torch.tensor([[-1.0, 0.0, 5.0, 5.0], [0.0, 0.0, 9.0, 5.0]]), ImageSize(height=5, width=9))
    tensor([False,  True])
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    return (x1 >= 0) & (y1 >= 0) & (x2 <= size.width) & (y2 <= size.height)


def sides_at_least(boxes: Float[Tensor, "*boxes 4"], side: float) -> Bool[Tensor, "*boxes"]:
    """Mask of the boxes that are at least ``side`` pixels wide and high.

    >>> sides_at_least(torch.tensor([[0.0, 0.0, 5.0, 1.0], [0.0, 0.0, 5.0, 5.0]]), 2.0)
    tensor([False,  True])
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    return (x2 - x1 >= side) & (y2 - y1 >= side)
