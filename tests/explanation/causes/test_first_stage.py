"""A built case for each verdict of the first stage: exactly one step loses the truth."""

from __future__ import annotations

from typing import Any

import pytest

from faster_rcnn.explanation.causes.kinds import Thresholds, Verdict, VerdictKind
from faster_rcnn.explanation.causes.verdicts import verdicts_on
from made_recordings import Way, made_recording
from tiny import truth_of

TRUTH = (20.0, 20.0, 40.0, 40.0)
FAR = (60.0, 50.0, 80.0, 70.0)
TALL = (20.0, 20.0, 40.0, 64.0)
"""Its IoU with ``TRUTH`` is 20 * 20 / (20 * 44) = 5 / 11."""


def verdict(*ways: Way, **settings: Any) -> Verdict:
    recording = made_recording(ways, **settings)
    [found] = verdicts_on(recording, truth_of([TRUTH]), Thresholds(0.5, 0.5))
    return found


def numbers(found: Verdict) -> tuple[VerdictKind, float | None, float | None, str | None]:
    value = None if found.value is None else round(found.value, 4)
    return found.kind, value, found.limit, found.setting


def test_no_anchor_reaches_the_truth() -> None:
    quarter = (20.0, 20.0, 30.0, 30.0)  # IoU 10 * 10 / (20 * 20)
    found = verdict(Way(quarter), Way(FAR))
    assert numbers(found) == (VerdictKind.NO_ANCHOR, 0.25, 0.3, "rpn.anchor_sizes")
    assert found.life is not None
    assert (found.life.anchor, found.life.anchor_box) == (0, quarter)
    assert found.missed


def test_a_small_anchor_that_grows_onto_the_truth_is_no_miss() -> None:
    assert verdict(Way((20.0, 20.0, 30.0, 30.0), proposal=TRUTH)).kind == VerdictKind.FOUND


@pytest.mark.parametrize(
    ("settings", "objectness", "expected"),
    [
        ({"proposals_before_nms": 1}, 0.8, (2.0, 1, "rpn.proposals_before_nms")),
        ({"proposals_after_nms": 1}, 0.8, (2.0, 1, "rpn.proposals_after_nms")),
        ({"score_floor": 0.5}, 0.4, (0.4, 0.5, "rpn.score_floor")),
        ({"score_floor": 0.5, "proposals_before_nms": 1}, 0.4, (2.0, 1, "rpn.proposals_before_nms")),
    ],
    ids=["beyond the cut before NMS", "beyond the cut after NMS", "below the floor", "both: the cut comes first"],
)
def test_the_objectness_is_too_low(
    settings: dict[str, Any], objectness: float, expected: tuple[float, float, str]
) -> None:
    found = verdict(Way(FAR, objectness=0.9), Way(TRUTH, objectness=objectness), rpn=settings)
    assert numbers(found) == (VerdictKind.LOW_OBJECTNESS, *expected)
    assert found.life is not None
    assert (found.life.anchor, found.life.rank, found.life.proposal) == (1, 2, None)


def test_a_neighbour_suppresses_the_proposal() -> None:
    found = verdict(Way(FAR, objectness=0.99), Way(TALL, objectness=0.95), Way(TRUTH), rpn={"nms_iou": 0.3})
    assert numbers(found) == (VerdictKind.SUPPRESSED_PROPOSAL, round(5 / 11, 4), 0.3, "rpn.nms_iou")
    assert found.suppressor is not None
    assert found.suppressor.anchor == 1
    assert found.suppressor.proposal_box == pytest.approx(TALL, abs=1e-4)


def test_the_proposal_is_too_small() -> None:
    found = verdict(Way(TRUTH), rpn={"min_side": 50.0})  # the truth is 20 pixels wide, and 40 after resizing
    assert numbers(found) == (VerdictKind.SMALL_BOX, 40.0, 50.0, "rpn.min_side")


def test_the_first_transform_leaves_the_truth() -> None:
    found = verdict(Way(TRUTH, proposal=TALL), Way(FAR))
    assert numbers(found) == (VerdictKind.LOOSE_BOX, round(5 / 11, 4), 0.5, None)
    assert found.life is not None
    assert (found.life.anchor_box, found.life.box) == (TRUTH, None)


def test_the_anchor_that_came_furthest_decides() -> None:
    """One anchor is beyond the cut, one is suppressed: the suppressed one came further."""
    ways = (Way(TALL, objectness=0.95), Way(TRUTH, objectness=0.9), Way(TRUTH, objectness=0.1))
    found = verdict(*ways, rpn={"nms_iou": 0.3, "proposals_before_nms": 2})
    assert found.kind == VerdictKind.SUPPRESSED_PROPOSAL
    assert found.life is not None
    assert found.life.anchor == 1
