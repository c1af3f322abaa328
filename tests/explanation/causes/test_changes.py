"""Changes that could make an object appear: the setting that its box fails, and the value that just suffices."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faster_rcnn.explanation.causes.changes import changes_for, number_below
from faster_rcnn.explanation.causes.kinds import Question, Thresholds
from faster_rcnn.explanation.causes.retries import Change
from faster_rcnn.explanation.record.lives import fates_of
from faster_rcnn.explanation.record.recording import Recording
from faster_rcnn.inference.tiles import Tile
from made_recordings import Box, Way, made_recording
from tiny import truth_of

TRUTH: Box = (20.0, 20.0, 40.0, 40.0)
NEAR: Box = (20.0, 20.0, 40.0, 36.0)
"""Its IoU with the truth is 16 / 20 = 0.8."""
FAR: Box = (60.0, 50.0, 80.0, 70.0)
SMALL = Change("image.short_side", 96, ("image.long_side=192",))
LARGE = Change("image.short_side", 128, ("image.long_side=256",))
"""1.5 and 2 times the size of the tiny detector, 64 and 128."""
TILE = Change("tile", 40)
"""Half of the short side, 80; a third, 27, is smaller than the smallest tile."""
PASSES = {"image.short_side": [SMALL, LARGE], "tile": [TILE]}


def changes(recording: Recording, truth: Box = TRUTH, conf: float = 0.5) -> dict[str, list[Change]]:
    question = Question(0, truth_of([truth]), Thresholds(conf, 0.5))
    return changes_for(question, recording, fates_of(recording))


def values(recording: Recording, **options: Any) -> dict[str, list[float]]:
    """The values of the settings that need no other pass."""
    found = changes(recording, **options)
    return {name: [each.value for each in every] for name, every in found.items() if name not in PASSES}


def test_an_object_that_nothing_comes_near_has_other_sizes_and_tiles_alone() -> None:
    assert changes(made_recording([Way(FAR)])) == PASSES
    assert changes(made_recording([])) == PASSES


def test_a_low_score_needs_a_confidence_just_below_it() -> None:
    """0.31 * 0.995 = 0.308, so 0.30. Two boxes with an IoU of 14 / 26 with the truth need one each."""
    assert values(made_recording([Way(TRUTH, scores=(0.31, 0.1, 0.1))])) == {"conf": [0.3]}
    two = [Way((20, 14, 40, 34), scores=(0.31, 0.1, 0.1)), Way((20, 26, 40, 46), scores=(0.42, 0.1, 0.1))]
    assert values(made_recording(two)) == {"conf": [0.41, 0.3]}


def test_a_score_below_the_floor_of_the_detector_needs_another_floor() -> None:
    """The second box also fails the confidence: one setting cannot help it."""
    unsure = made_recording([Way(TRUTH, scores=(0.31, 0.1, 0.1))], roi={"score_floor": 0.4})
    assert values(unsure, conf=0.2) == {"roi.score_floor": [0.3]}
    assert values(unsure, conf=0.35) == {}


def test_a_small_box_needs_a_smaller_side() -> None:
    """The box of 20 x 16 pixels is 32 high after resizing; 32 * 0.995 = 31.84."""
    assert values(made_recording([Way(NEAR)], roi={"min_side": 50.0})) == {"roi.min_side": [31.84]}
    assert values(made_recording([Way(NEAR)], rpn={"min_side": 50.0})) == {"rpn.min_side": [31.84]}


def test_a_suppressed_detection_needs_a_threshold_above_its_iou() -> None:
    """The IoU is 0.8; with the margin 0.805, so 0.81; and coarse steps above the detector's 0.5."""
    both = [Way(TRUTH, scores=(0.8, 0.1, 0.05)), Way(NEAR, scores=(0.9, 0.05, 0.03))]
    assert values(made_recording(both, rpn={"nms_iou": 0.9})) == {"roi.nms_iou": [0.6, 0.7, 0.81, 0.9]}


def test_a_detection_beyond_the_limit_needs_a_limit_above_its_rank() -> None:
    better = [Way((50 + 2 * n, 50, 51 + 2 * n, 60), scores=(0.95, 0.02, 0.02)) for n in range(13)]
    recording = made_recording([*better, Way(TRUTH)], roi={"max_detections": 5})
    assert values(recording) == {"roi.max_detections": [15]}  # rank 14, and one for rounding errors


def test_a_proposal_beyond_the_limit_needs_a_limit_above_its_rank_or_many_more() -> None:
    better = [Way((50 + 2 * n, 50, 51 + 2 * n, 60), objectness=0.95) for n in range(11)]
    recording = made_recording([*better, Way(TRUTH)], rpn={"proposals_after_nms": 4})
    assert values(recording) == {"rpn.proposals_after_nms": [8, 13, 20]}
    recording = made_recording([*better, Way(TRUTH)], rpn={"proposals_before_nms": 4})
    assert values(recording) == {"rpn.proposals_before_nms": [13]}


def test_a_limit_of_many_has_two_significant_digits() -> None:
    better = [Way((50 + n / 4, 50, 50.2 + n / 4, 60), objectness=0.95) for n in range(136)]
    recording = made_recording([*better, Way(TRUTH)], rpn={"proposals_before_nms": 50})
    assert values(recording) == {"rpn.proposals_before_nms": [140]}  # rank 137, and one


def test_a_suppressed_proposal_needs_a_threshold_above_its_iou() -> None:
    both = [Way(TRUTH, objectness=0.8), Way(NEAR, objectness=0.9, box=FAR)]
    assert values(made_recording(both)) == {"rpn.nms_iou": [0.81, 0.9]}


def test_a_low_objectness_needs_a_lower_floor() -> None:
    """0.42 * 0.995 = 0.4179."""
    recording = made_recording([Way(TRUTH, objectness=0.42)], rpn={"score_floor": 0.6})
    assert values(recording) == {"rpn.score_floor": [0.41]}


def test_a_region_proposal_network_has_a_confidence_and_settings_of_its_stage() -> None:
    ways = [Way(TRUTH, objectness=0.31), Way(FAR)]
    assert values(made_recording(ways, kind="rpn")) == {"conf": [0.3]}
    recording = made_recording(ways, kind="rpn", rpn={"proposals_after_nms": 1})
    assert values(recording, conf=0.2) == {"rpn.proposals_after_nms": [2, 3, 5]}


def test_external_proposals_have_no_settings_of_a_first_stage_and_no_tiles() -> None:
    recording = made_recording([Way(TRUTH, scores=(0.31, 0.1, 0.1))], kind="fast-rcnn")
    found = changes(recording)
    assert found == {"conf": [Change("conf", 0.3)], "image.short_side": [SMALL, LARGE]}


def test_boxes_of_tiles_count() -> None:
    tile = Tile(10, 10, 70, 70), [Way(TRUTH, scores=(0.31, 0.1, 0.1))]
    recording = made_recording([Way(TRUTH, scores=(0.22, 0.1, 0.1))], tiles=[tile])
    assert values(recording) == {"conf": [0.3, 0.21]}


def test_an_object_larger_than_every_anchor_has_a_smaller_image() -> None:
    found = changes(made_recording([Way((0, 0, 30, 30))]), truth=(0, 0, 99, 79))
    assert found == {"image.short_side": [Change("image.short_side", 32, ("image.long_side=64",))]}


def test_images_and_tiles_that_take_too_long_are_left_out() -> None:
    """2 ** 23 pixels are 8.4 million."""
    large = made_recording([Way(FAR)], image={"short_side": 1400, "long_side": 2800})
    half_more = Change("image.short_side", 2100, ("image.long_side=4200",))
    assert changes(large) == {"image.short_side": [half_more]}  # not 2800 x 3500 pixels, nor 9 tiles of 1400 x 1400
    small = made_recording([Way(FAR)], image={"short_side": 600, "long_side": 2000})
    assert changes(small)["tile"] == [TILE]  # 9 tiles of 600 x 600


@given(st.floats(1e-5, 1e4))
def test_a_number_below_is_near_and_has_a_margin(value: float) -> None:
    found = number_below(value)
    assert 0.85 * value <= found < value or (value < 0.02 and 0 < found < value) or 0 < value - found <= 0.011


@pytest.mark.parametrize(
    ("value", "below"), [(0.9, 0.89), (0.3147, 0.31), (0.31, 0.3), (0.0123, 0.012), (0.00012, 0.00011), (1e-9, 0.0)]
)
def test_numbers_below_by_hand(value: float, below: float) -> None:
    assert number_below(value) == below
