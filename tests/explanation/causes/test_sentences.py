from __future__ import annotations

import pytest

from faster_rcnn.explanation.causes.false_positives import FalseKind, FalsePositive
from faster_rcnn.explanation.causes.kinds import Verdict, VerdictKind
from faster_rcnn.explanation.causes.sentences import false_positive_sentence, verdict_sentence
from faster_rcnn.explanation.record.lives import Life
from faster_rcnn.structures import ClassMap

CLASSES = ClassMap(("cat", "dog"), (1, 2))
LIFE = Life(0, 0, anchor=3, proposal=1, score=0.25, background=0.1, rival=(1, 0.625), box=(0, 0, 4, 4))


@pytest.mark.parametrize(
    ("kind", "value", "limit", "setting", "parts"),
    [
        (VerdictKind.NO_ANCHOR, 0.21, 0.3, "rpn.anchor_sizes", ("0.21", "0.3 (rpn.negative_iou)")),
        (VerdictKind.NO_PROPOSAL, 0.21, 0.5, None, ("external proposal", "0.21", "0.5")),
        (VerdictKind.LOW_OBJECTNESS, 1301.0, 1000.0, "rpn.proposals_before_nms", ("rank 1,301 of", "best 1,000 pass")),
        (VerdictKind.LOW_OBJECTNESS, 301.0, 300.0, "rpn.proposals_after_nms", ("rank 301 after NMS", "best 300 pass")),
        (VerdictKind.LOW_OBJECTNESS, 0.01, 0.05, "rpn.score_floor", ("0.01 is not above 0.05",)),
        (VerdictKind.SUPPRESSED_PROPOSAL, 0.75, 0.7, "rpn.nms_iou", ("0.75 exceeds 0.7 (rpn.nms_iou)",)),
        (VerdictKind.BACKGROUND, 0.25, 0.7, "conf", ("cat scores 0.25, background 0.7",)),
        (VerdictKind.OTHER_CLASS, 0.25, 0.625, "conf", ("for dog: cat scores 0.25, dog 0.625",)),
        (VerdictKind.LOOSE_BOX, 0.456789, 0.5, None, ("second transform", "0.457, below 0.5")),
        (VerdictKind.SMALL_BOX, 0.4, 1.5, "roi.min_side", ("0.4 pixels", "1.5 (roi.min_side)")),
        (VerdictKind.SUPPRESSED_DETECTION, 0.6, 0.5, "roi.nms_iou", ("second stage", "0.6 exceeds 0.5")),
        (VerdictKind.SUPPRESSED_DETECTION, 0.6, 0.5, None, ("merging of tiles",)),
        (VerdictKind.SHARED_DETECTION, 0.6, 0.5, None, ("up to 0.6", "neighbour")),
        (VerdictKind.MAX_DETECTIONS, 104.0, 100.0, "roi.max_detections", ("rank 104", "best 100 (roi.max")),
        (VerdictKind.LOW_SCORE, 0.31, 0.5, "conf", ("scores 0.31, below 0.5 (conf)",)),
        (VerdictKind.FOUND, None, None, None, ("found, with a score of 0.25",)),
    ],
)
def test_a_verdict_is_a_sentence_with_both_numbers(
    kind: VerdictKind, value: float | None, limit: float | None, setting: str | None, parts: tuple[str, ...]
) -> None:
    sentence = verdict_sentence(Verdict(0, 0, kind, LIFE, value, limit, setting), CLASSES)
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    for part in parts:
        assert part in sentence


def test_a_box_that_is_loose_after_the_first_transform_has_no_second_one() -> None:
    life = Life(0, 0, anchor=3, proposal_box=(0, 0, 4, 4))
    sentence = verdict_sentence(Verdict(0, 0, VerdictKind.LOOSE_BOX, life, 0.4, 0.5), CLASSES)
    assert "after the first transform" in sentence


@pytest.mark.parametrize("kind", list(FalseKind))
def test_each_kind_of_false_positive_has_a_sentence_of_its_own(kind: FalseKind) -> None:
    sentence = false_positive_sentence(FalsePositive(0, 1, 0.9, kind, None, 0.0625), CLASSES)
    others = {false_positive_sentence(FalsePositive(0, 1, 0.9, other, None, 0.0625), CLASSES) for other in FalseKind}
    assert len(others) == len(FalseKind)
    assert ("0.0625" in sentence) != (kind == FalseKind.MISSING_LABEL)
