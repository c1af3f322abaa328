"""Verdicts of the first stage: where the last anchor that could have become a proposal for a truth was lost."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from faster_rcnn.explanation.causes.kinds import Question, Verdict, VerdictKind, lost, shorter_side
from faster_rcnn.explanation.record.fates import AnchorFates, Fate
from faster_rcnn.explanation.record.lives import PartFates
from faster_rcnn.ops.boxes import iou


def lost_in_first_stage(question: Question, fates: PartFates) -> Verdict:
    """Where the first stage lost the last anchor whose proposal lies on the truth."""
    part, anchors = fates.part, fates.anchors
    if anchors is None or part.first is None:
        raise ValueError("external proposals have no anchors")
    decoded = question.iou_with(part.in_image(anchors.boxes))  # (A,)
    relevant = decoded >= question.thresholds.iou
    if not relevant.any():
        return _never_near(question, fates, anchors, decoded)
    steps = anchors.fates.cpu().masked_fill(~relevant, -1)
    furthest = steps == steps.max()
    place = int(torch.where(furthest, anchors.objectness.cpu(), -1).argmax())
    life, rule = fates.life_of_anchor(place, question.label), part.network.inference_filter
    objectness = float(anchors.objectness[place])
    match Fate(int(steps.max())):
        case Fate.SUPPRESSED:
            other = int(anchors.suppressors[place])
            value = float(iou(anchors.boxes[place].double()[None], anchors.boxes[other].double()[None])[0, 0])
            suppressor = fates.life_of_anchor(other, question.label)
            kind = VerdictKind.SUPPRESSED_PROPOSAL
            return lost(question, kind, life, value, rule.nms_iou, "rpn.nms_iou", suppressor)
        case Fate.TOO_SMALL:
            side = shorter_side(anchors.boxes[place])
            return lost(question, VerdictKind.SMALL_BOX, life, side, rule.min_side, "rpn.min_side")
        case Fate.BELOW_CUT if int(anchors.ranks[place]) <= rule.before_nms and objectness < rule.score_floor:
            value, limit, setting = objectness, rule.score_floor, "rpn.score_floor"
        case Fate.BELOW_CUT:
            rank = float(anchors.ranks[place])
            value, limit, setting = rank, rule.before_nms, "rpn.proposals_before_nms"
        case _:
            rank = float(anchors.surviving_ranks[place])
            value, limit, setting = rank, rule.after_nms, "rpn.proposals_after_nms"
    return lost(question, VerdictKind.LOW_OBJECTNESS, life, value, limit, setting)


def _never_near(
    question: Question, fates: PartFates, anchors: AnchorFates, decoded: Float[Tensor, " anchors"]
) -> Verdict:
    """The verdict where no anchor's proposal lies on the truth: the anchors do not reach it, or their deltas fail."""
    part = fates.part
    if part.first is None:
        raise ValueError("external proposals have no anchors")
    reach = question.iou_with(part.in_image(part.first.anchors.boxes))  # (A,)
    negative = part.network.rpn.sampling.negative_iou
    if float(reach.max()) < negative:
        life = fates.life_of_anchor(int(reach.argmax()), question.label)
        return lost(question, VerdictKind.NO_ANCHOR, life, float(reach.max()), negative, "rpn.anchor_sizes")
    best = int(decoded.argmax())
    life = fates.life_of_anchor(best, question.label)
    return lost(question, VerdictKind.LOOSE_BOX, life, float(decoded[best]), question.thresholds.iou, None)
