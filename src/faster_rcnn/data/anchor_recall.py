"""The best possible recall of anchors: how near the nearest anchor, at its place on the grid, comes to each object.

``anchor_fitting`` compares shapes with one centre. Here the distance of an object's centre from the nearest position of
a level counts as well, as it does in training (Faster R-CNN, section 3.1.2).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from faster_rcnn.rpn.anchors import base_anchors
from faster_rcnn.settings.schema import RpnConfig


def best_ious(boxes: Float[Tensor, "objects 4"], rpn: RpnConfig, strides: Sequence[int]) -> Float[Tensor, " objects"]:
    """IoU of each object with its best anchor.

    Args:
        boxes: objects in pixels of the resized image.
        rpn: the settings of the anchors.
        strides: strides of the levels in pixels, finest first.
    """
    best = torch.zeros(len(boxes))
    sides = boxes[:, 2:] - boxes[:, :2]
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    for sizes, ratios, stride in zip(rpn.anchor_sizes, rpn.ratios_of_levels(len(strides)), strides, strict=True):
        if not sizes:
            continue
        # The nearest position is the best one along both axes, since the overlap falls with the distance.
        place = (centres / stride - rpn.anchor_offset).round().clamp(min=0)
        distance = (centres - (place + rpn.anchor_offset) * stride).abs()
        for x1, y1, x2, y2 in base_anchors(sizes, ratios, rpn.anchor_rounding).tolist():
            anchor = torch.tensor([x2 - x1, y2 - y1])
            reach = torch.minimum((sides + anchor) / 2 - distance, torch.minimum(sides, anchor)).clamp(min=0)
            shared = reach.prod(dim=1)
            best = torch.maximum(best, shared / (sides.prod(dim=1) + anchor.prod() - shared))
    return best
