"""Proposals of a fixed number inside an exported graph; the tensor form of ``rpn/proposals.py``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from faster_rcnn.export.suppression import NO_BOX, Selections
from faster_rcnn.ops.boxes import clip_to, sides_at_least
from faster_rcnn.ops.deltas import decode
from faster_rcnn.rpn.proposals import ProposalFilter, objectness_logit
from faster_rcnn.structures import RpnOutput


@dataclass(frozen=True, slots=True, eq=False)
class PaddedProposals:
    """Equally many proposals of each image, best first; places without one hold a box of zeros."""

    boxes: Float[Tensor, "images proposals 4"]
    exist: Bool[Tensor, "images proposals"]


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """The first stage's output for one level.

    Levels are not cut out of one tensor: an ONNX file would hold the places as numbers, whatever the size of images.
    """

    output: RpnOutput
    anchors: Float[Tensor, "anchors 4"]


def padded_proposals(
    levels: Sequence[Level], limits: Float[Tensor, "images 4"], rule: ProposalFilter, ways: Selections
) -> PaddedProposals:
    """``rule.after_nms`` places for the proposals that ``rpn.proposals.select_of_images`` gives.

    ``limits`` are the width and the height of each image, twice; one row may stand for all images.
    """
    parts = [_of_level(each, limits, rule, ways) for each in levels]
    boxes = torch.cat([boxes for boxes, _ in parts], dim=1)  # (B, C, 4)
    scores = torch.cat([scores for _, scores in parts], dim=1)  # (B, C)
    return _best(boxes, scores, rule.after_nms, ways)


def _of_level(
    level: Level, limits: Tensor, rule: ProposalFilter, ways: Selections
) -> tuple[Float[Tensor, "images candidates 4"], Float[Tensor, "images candidates"]]:
    """Boxes of the best anchors of a level, and their scores after NMS: ``NO_BOX`` for those that do not survive."""
    logit, deltas, anchors = objectness_logit(level.output.logits), level.output.deltas, level.anchors
    if isinstance(logit.shape[1], torch.SymInt):  # images of any size have levels with any number of anchors
        spare = rule.before_nms
        logit, deltas = pad(logit, (0, spare), value=-torch.inf), pad(deltas, (0, 0, 0, spare))
        anchors = pad(anchors, (0, 0, 0, spare))
        count = rule.before_nms
    else:
        count = min(rule.before_nms, logit.shape[1])
    best = logit.topk(count, dim=1)  # (B, n)
    rows = best.indices[..., None].expand(-1, -1, 4)  # (B, n, 4)
    boxes = clip_to(decode(deltas.gather(1, rows), anchors[best.indices]), limits[:, None])  # (B, n, 4)
    scores = best.values.sigmoid()  # (B, n)
    fit = sides_at_least(boxes, rule.min_side) & (scores >= rule.score_floor) & best.values.isfinite()  # (B, n)
    scores = scores.where(fit, NO_BOX)
    kept = ways.suppress(boxes, scores, rule.nms_iou, rule.after_nms)  # (B, n)
    return boxes, scores.where(kept, NO_BOX)


def _best(boxes: Tensor, scores: Tensor, count: int, ways: Selections) -> PaddedProposals:
    """The ``count`` best boxes of all levels; equal scores keep the order of levels."""
    boxes, scores = pad(boxes, (0, 0, 0, count)), pad(scores, (0, count), value=NO_BOX)
    values, order = ways.best(scores, count)  # (B, P) both
    exist = values > NO_BOX / 2  # (B, P)
    best = boxes.gather(1, order[..., None].expand(-1, -1, 4))  # (B, P, 4)
    return PaddedProposals(best * exist[..., None], exist)
