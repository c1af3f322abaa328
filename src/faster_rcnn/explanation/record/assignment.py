"""Training's view of a recorded image: which anchors its truths make positive, negative and neutral (section 3.1.2).

The first stage's own functions decide, ``match`` and ``rpn_targets``, with the numbers of its own sampling.
"""

from __future__ import annotations

import torch

from faster_rcnn.explanation.record.recording import FirstStage, PartRecording
from faster_rcnn.kernels.matching import compare
from faster_rcnn.ops.assignment import match
from faster_rcnn.ops.boxes import clip, inside, ioa
from faster_rcnn.rpn.targets import rpn_targets
from faster_rcnn.structures import GroundTruth, Matches, RpnTargets

IN_PART = 0.5
"""The share of a truth's area that lies in a tile which counts as its part."""


def truth_in_part(part: PartRecording, truth: GroundTruth) -> GroundTruth:
    """The truths of which at least half lies in a part, cut at its border, in the frame of the resized part.

    ``truth`` is in pixels of the image.
    """
    place = truth.boxes.new_tensor([list(part.place)])
    there = torch.nonzero(ioa(truth.boxes, place)[:, 0] >= IN_PART)[:, 0]  # (T,)
    boxes = clip(part.in_part(truth.boxes[there]), part.resized)
    return GroundTruth(boxes, truth.labels[there], truth.ignored[there]).to(part.images.pixels.device)


@torch.inference_mode()
def assigned_anchors(part: PartRecording, first: FirstStage, truth: GroundTruth) -> Matches:
    """Match all anchors of a part with its truths, as training would; ``truth`` is in pixels of the image.

    Anchors that training leaves out, as they cross the border, are neutral.
    """
    rule, anchors = part.network.rpn.sampling, first.anchors.boxes
    return match(
        anchors,
        truth_in_part(part, truth),
        positive_iou=rule.positive_iou,
        negative_iou=rule.negative_iou,
        best_of_truth=True,
        eligible=inside(anchors, part.resized) if rule.ignore_crossing else None,
        compare=compare,
    )


@torch.inference_mode()
def sampled_anchors(part: PartRecording, first: FirstStage, truth: GroundTruth, seed: int = 0) -> RpnTargets:
    """The mini-batch of anchors that training would choose in a part for a seed (section 3.1.3).

    ``truth`` is in pixels of the image. Training takes another seed in every epoch.
    """
    rule = part.network.rpn.sampling
    return rpn_targets(first.anchors, truth_in_part(part, truth), rule, seed, part.resized)
