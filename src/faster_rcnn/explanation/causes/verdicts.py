"""The verdict on each truth of an image: found, or the first stage of the detector that lost it.

Every anchor and every region that could have become the truth's detection goes a way through the filters of both
stages. The verdict is the step at which the last of these ways ends, with the number that failed there and the number
that it would have had to reach.
"""

from __future__ import annotations

import torch

from faster_rcnn.explanation.causes.first_stage import lost_in_first_stage
from faster_rcnn.explanation.causes.kinds import ORDER, Question, Thresholds, Verdict, VerdictKind, lost
from faster_rcnn.explanation.causes.matching import UNMATCHED, Matching, match_detections
from faster_rcnn.explanation.causes.second_stage import lost_in_second_stage
from faster_rcnn.explanation.record.lives import PartFates, fates_of, life_of_detection
from faster_rcnn.explanation.record.recording import Recording
from faster_rcnn.ops.boxes import ioa
from faster_rcnn.structures import GroundTruth

MIN_SHARE = 0.5
"""Share of a truth's area that a tile must show to be considered for its verdict; the whole image always is."""


@torch.inference_mode()
def verdicts_on(
    recording: Recording, truth: GroundTruth, thresholds: Thresholds, fates: tuple[PartFates, ...] | None = None
) -> tuple[Verdict, ...]:
    """One verdict for each truth that is not ignored, in their order.

    Args:
        recording: a recorded image; its own ``truth`` and ``conf`` are not read.
        truth: in pixels of the image, with the labels of the detector.
        thresholds: when a truth counts as found.
        fates: those of the recording's parts, where a caller has them already.
    """
    fates = fates_of(recording) if fates is None else fates
    matching = match_detections(recording.detections.above(thresholds.conf), truth, thresholds.iou)
    wanted = torch.nonzero(~truth.ignored)[:, 0].tolist()
    return tuple(_verdict(recording, Question(index, truth, thresholds), matching, fates) for index in wanted)


def _verdict(recording: Recording, question: Question, matching: Matching, fates: tuple[PartFates, ...]) -> Verdict:
    detection = int(matching.detections[question.index])
    if detection != UNMATCHED:
        life = life_of_detection(recording, fates, detection)
        return Verdict(question.index, question.label, VerdictKind.FOUND, life, detection=detection)
    places = torch.tensor([part.place for part in recording.parts], dtype=torch.float32)  # (parts, 4)
    shares = ioa(question.box, places)[0].tolist()
    shown = [index for index, share in enumerate(shares) if index == 0 or share >= MIN_SHARE]
    every = [_verdict_in_part(question, fates[index]) for index in shown]
    return max(every, key=lambda verdict: ORDER.index(verdict.kind))


def _verdict_in_part(question: Question, fates: PartFates) -> Verdict:
    second = lost_in_second_stage(question, fates)
    if second is not None:
        return second
    if fates.part.first is None:
        ious = question.iou_with(fates.part.in_image(fates.part.proposals.boxes))
        best = int(ious.argmax()) if len(ious) else None
        life = None if best is None else fates.life_of_region(best, question.label)
        value = float(ious.max()) if len(ious) else 0.0
        return lost(question, VerdictKind.NO_PROPOSAL, life, value, question.thresholds.iou, None)
    return lost_in_first_stage(question, fates)
