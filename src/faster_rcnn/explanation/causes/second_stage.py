"""Verdicts of the second stage: where the last region on a truth was lost."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from faster_rcnn.explanation.causes.kinds import ORDER, Question, Verdict, VerdictKind, lost, shorter_side
from faster_rcnn.explanation.record.fates import Fate, RegionFates
from faster_rcnn.explanation.record.lives import Life, PartFates
from faster_rcnn.ops.boxes import iou


def lost_in_second_stage(question: Question, fates: PartFates) -> Verdict | None:
    """Where the last region on the truth was lost; ``None`` where no proposal lies on it."""
    part, regions, minimum = fates.part, fates.regions, question.thresholds.iou
    on = question.iou_with(part.in_image(part.proposals.boxes))  # (P,)
    if regions is None or part.second is None:
        return _lost_as_object(question, fates, on)
    final = part.in_image(regions.boxes[:, question.label])  # (P, 4)
    after = question.iou_with(final)  # (P,)
    score = regions.probabilities[:, question.label].cpu()  # (P,)
    close = after >= minimum
    relevant = (on >= minimum) | (close & (score > part.second.rule.score_floor))
    if not relevant.any():
        return None
    own = relevant & ~(close & ~question.is_nearest_to(final))
    steps = _steps_of_regions(question, regions, close)
    # A detection is reported and close, and still does not count for the truth: it counts for a neighbour that it is
    # nearer to, or the merging of tiles removed it.
    reported = close & (regions.fates[:, question.label].cpu() == Fate.KEPT) & (score >= question.thresholds.conf)
    removed = VerdictKind.SUPPRESSED_DETECTION if own.any() else VerdictKind.SHARED_DETECTION
    steps[reported] = ORDER.index(removed)
    steps = steps.masked_fill(~(own if own.any() else relevant), -1)
    furthest = steps == steps.max()
    kind = ORDER[int(steps.max())]
    rank = after if kind == VerdictKind.LOOSE_BOX else score.double()
    place = int(torch.where(furthest, rank, -1).argmax())
    return _lost_region(question, fates, regions, place, kind, float(after[place]))


def _steps_of_regions(question: Question, regions: RegionFates, close: Tensor) -> Int[Tensor, " proposals"]:
    """The verdict that each region alone would give, as its place in ``ORDER``."""
    label, background = question.label, regions.probabilities.shape[1] - 1
    score, fate = regions.probabilities[:, label].cpu(), regions.fates[:, label].cpu()  # (P,) both
    winner = regions.probabilities.argmax(dim=1).cpu()  # (P,)
    steps = torch.full_like(fate, ORDER.index(VerdictKind.LOW_SCORE))
    steps[fate == Fate.BEYOND_LIMIT] = ORDER.index(VerdictKind.MAX_DETECTIONS)
    steps[fate == Fate.SUPPRESSED] = ORDER.index(VerdictKind.SUPPRESSED_DETECTION)
    steps[fate == Fate.TOO_SMALL] = ORDER.index(VerdictKind.SMALL_BOX)
    steps[~close] = ORDER.index(VerdictKind.LOOSE_BOX)
    wrong = (winner != label) & (score < question.thresholds.conf)
    steps[wrong] = ORDER.index(VerdictKind.OTHER_CLASS)
    steps[wrong & (winner == background)] = ORDER.index(VerdictKind.BACKGROUND)
    return steps


def _lost_region(
    question: Question, fates: PartFates, regions: RegionFates, place: int, kind: VerdictKind, after: float
) -> Verdict:
    """The verdict of one region, with the number that failed."""
    second = fates.part.second
    if second is None:
        raise ValueError("without a second stage there are no regions")
    rule, label = second.rule, question.label
    life = fates.life_of_region(place, label)
    score = life.score or 0.0
    match kind:
        case VerdictKind.BACKGROUND:
            return lost(question, kind, life, score, life.background or 0.0, "conf")
        case VerdictKind.OTHER_CLASS:
            return lost(question, kind, life, score, life.rival[1] if life.rival else 0.0, "conf")
        case VerdictKind.LOOSE_BOX | VerdictKind.SHARED_DETECTION:
            return lost(question, kind, life, after, question.thresholds.iou, None)
        case VerdictKind.SMALL_BOX:
            side = shorter_side(regions.boxes[place, label])
            return lost(question, kind, life, side, rule.min_side, "roi.min_side")
        case VerdictKind.SUPPRESSED_DETECTION:
            return _suppressed_region(question, fates, regions, life, place)
        case VerdictKind.MAX_DETECTIONS:
            rank = int(regions.surviving_ranks[place, label])
            return lost(question, kind, life, rank, rule.max_detections, "roi.max_detections")
    if int(regions.fates[place, label]) == Fate.BELOW_CUT:
        return lost(question, kind, life, score, rule.score_floor, "roi.score_floor")
    return lost(question, kind, life, score, question.thresholds.conf, "conf")


def _suppressed_region(question: Question, fates: PartFates, regions: RegionFates, life: Life, place: int) -> Verdict:
    """The verdict of a region that NMS removed, or of one that the merging of tiles removed, which no setting names."""
    kind, pair = VerdictKind.SUPPRESSED_DETECTION, int(regions.suppressors[place, question.label])
    if pair < 0 or fates.part.second is None:
        return lost(question, kind, life, life.score or 0.0, question.thresholds.conf, None)
    proposal, label = divmod(pair, regions.boxes.shape[1])
    own, other = regions.boxes[place, question.label], regions.boxes[proposal, label]
    value = float(iou(own.double()[None], other.double()[None])[0, 0])
    limit = fates.part.second.rule.nms_iou
    return lost(question, kind, life, value, limit, "roi.nms_iou", fates.life_of_region(proposal, label))


def _lost_as_object(question: Question, fates: PartFates, on: Float[Tensor, " proposals"]) -> Verdict | None:
    """The verdict where the proposals of a first stage alone are its detections."""
    part = fates.part
    relevant = on >= question.thresholds.iou
    if not relevant.any():
        return None
    own = relevant & question.is_nearest_to(part.in_image(part.proposals.boxes))
    chosen = own if own.any() else relevant
    place = int(torch.where(chosen, part.proposals.scores.cpu(), -1).argmax())
    life, score = fates.life_of_region(place, question.label), float(part.proposals.scores[place])
    if score < question.thresholds.conf:
        return lost(question, VerdictKind.LOW_SCORE, life, score, question.thresholds.conf, "conf")
    if own.any():  # it is reported, and the merging of tiles removed it
        return lost(question, VerdictKind.SUPPRESSED_DETECTION, life, score, question.thresholds.conf, None)
    return lost(question, VerdictKind.SHARED_DETECTION, life, float(on[place]), question.thresholds.iou, None)
