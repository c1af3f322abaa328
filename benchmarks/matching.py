"""Time of matching anchors with truths without the pairs that cannot overlap, against all pairs; the same bits."""

from __future__ import annotations

from functools import partial

import torch
from timing import compare as compare_times
from timing import machine

from faster_rcnn.kernels.matching import compare
from faster_rcnn.ops.assignment import compare_all
from faster_rcnn.rpn.anchors import anchors_of_levels, base_anchors
from faster_rcnn.structures import GroundTruth, ImageSize

SIZE = ImageSize(416, 576)
STRIDES, SIDES = (4, 8, 16, 32, 64), (32, 64, 128, 256, 512)
TRUTHS = (7, 15, 100, 1000)
"""Numbers of truths per image; COCO has 7 on average, BCCD 13."""


def main() -> None:
    print(machine())
    torch.manual_seed(0)
    anchors = anchors_of_levels(
        [base_anchors([side], [0.5, 1, 2], rounding=False) for side in SIDES],
        [ImageSize(-(-SIZE.height // stride), -(-SIZE.width // stride)) for stride in STRIDES],
        [(float(stride), float(stride)) for stride in STRIDES],
        torch.device("cpu"),
    ).boxes
    for count in TRUTHS:
        corners = torch.rand(count, 2) * torch.tensor([SIZE.width, SIZE.height])
        boxes = torch.cat((corners, corners + 8 + 64 * torch.rand(count, 2)), dim=1)
        truth = GroundTruth(boxes, torch.zeros(count, dtype=torch.long), torch.zeros(count, dtype=torch.bool))
        ours, peer = partial(compare, anchors, truth, None), partial(compare_all, anchors, truth, None)
        compare_times(f"{len(anchors):,} anchors, {count} truths", ours, peer, rounds=9)


if __name__ == "__main__":
    main()
