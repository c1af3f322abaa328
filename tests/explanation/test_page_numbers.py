from __future__ import annotations

from typing import Any

import pytest
import torch

from explained_images import tiny_explained
from faster_rcnn.explanation import page_numbers as numbers
from faster_rcnn.explanation.trace import Trace
from faster_rcnn.ops.boxes import iou
from tiny import truth_of

TRUTH = truth_of([[4, 6, 124, 90], [70, 20, 120, 90], [0, 0, 5, 5]], [1, 0, 2], [False, False, True])


@pytest.fixture(scope="module")
def explained() -> Trace:
    return tiny_explained(TRUTH)


def rows_of(name: str, explained: Trace) -> dict[str, str]:
    made: Any = getattr(numbers, name)
    return dict(made(explained, explained.fates[0]))


def test_sizes_are_those_of_the_pass(explained: Trace) -> None:
    # 96 x 128 pixels: the shorter side becomes 64, the longer one 85.3; both are padded to a multiple of 32.
    part = explained.recording.whole
    assert part.resized == (64, 85)
    assert dict(numbers.image_rows(part)) == {
        "image": "128 x 96 pixels",
        "resized": "85 x 64 pixels, 0.664 times as wide",
        "padded": "96 x 64 pixels",
    }


def test_levels_and_anchors_are_counted(explained: Trace) -> None:
    part = explained.recording.whole
    # Strides 4 to 64 in 64 x 96 pixels, 3 anchors at each feature.
    sides = {"P2": (16, 24), "P3": (8, 12), "P4": (4, 6), "P5": (2, 3), "P6": (1, 2)}
    assert {name: text.split(",")[0] for name, text in numbers.level_rows(part)} == {
        name: f"16 x {rows} x {columns}" for name, (rows, columns) in sides.items()
    }
    grid = dict(numbers.grid_rows(part))
    assert grid["P2"] == "16 x 24 x 3 = 1,152"
    assert grid["all anchors"] == f"{3 * sum(rows * columns for rows, columns in sides.values()):,}"


def test_anchors_are_positive_negative_and_neutral_by_their_ious(explained: Trace) -> None:
    part = explained.recording.whole
    assert part.first is not None
    ious = iou(part.in_image(part.first.anchors.boxes).double(), TRUTH.boxes[:2].double())  # (A, 2)
    best = (ious == ious.amax(dim=0)) & (ious > 0)
    positive = (ious >= 0.7).any(dim=1) | best.any(dim=1)
    rows = rows_of("assignment_rows", explained)
    found = {name.split(" ")[0]: int(text.replace(",", "")) for name, text in rows.items()}
    # A rounding error may decide at a threshold, and truths are matched in the resized frame.
    assert found["positive"] == pytest.approx(int(positive.sum()), abs=2)
    assert found["positive"] + found["neutral"] + found["negative"] == len(ious)


def test_the_filter_of_proposals_adds_up(explained: Trace) -> None:
    part, rows = explained.recording.whole, rows_of("proposal_rows", explained)
    counts = [int(text.replace(",", "")) for text in rows.values()]
    anchors, candidates, small, suppressed, survived, kept = counts
    assert part.first is not None
    assert anchors == len(part.first.anchors.boxes)
    assert candidates == small + suppressed + survived
    assert kept == len(part.proposals.scores) == min(50, survived)


def test_the_followed_box_is_the_best_detection_and_its_ious_are_before_and_after(explained: Trace) -> None:
    life, truth = explained.life(0), TRUTH.boxes[:2]
    assert explained.detections.proposals is not None
    assert life.proposal == int(explained.detections.proposals[0])
    second = rows_of("second_transform_rows", explained)
    assert second["score"] == f"{float(explained.detections.scores[0]):.3f}"
    steps = torch.tensor([life.proposal_box, life.box], dtype=torch.float64)
    ious = iou(steps, truth.double())  # (2, T)
    nearest = int(ious[1].argmax())
    assert second["IoU of the proposal"] == f"{float(ious[0, nearest]):.3f}"
    assert second["IoU of the output"] == f"{float(ious[1, nearest]):.3f}"
    assert rows_of("anchor_rows", explained)["followed anchor"].startswith(f"number {life.anchor:,}, ")
    first = rows_of("first_transform_rows", explained)
    assert first["objectness"] == f"{life.objectness:.3f}"


def test_probabilities_sum_to_one(explained: Trace) -> None:
    rows = rows_of("probability_rows", explained)
    assert sum(float(text) for name, text in rows.items() if name != "region") == pytest.approx(1, abs=0.002)


def test_detections_truths_and_mistakes_are_counted(explained: Trace) -> None:
    rows = dict(numbers.detection_rows(explained))
    assert rows["detections of at least 0.37"] == str(len(explained.detections))
    assert rows["truths"] == "2"
    missed = sum(int(count) for name, count in rows.items() if name.startswith("missed: "))
    assert int(rows["found"]) + missed == 2
    false = sum(int(count) for name, count in rows.items() if name.startswith("false: "))
    assert false == len(explained.false_positives)


def test_without_detections_the_best_score_is_named_and_the_best_proposal_followed() -> None:
    explained = tiny_explained(conf=1.0)
    rows = dict(numbers.detection_rows(explained))
    assert rows == {
        "detections of at least 1": "0",
        "the best below it": f"{float(explained.recording.detections.scores[0]):.3f}",
    }
    assert numbers.followed(explained, explained.fates[0]) is not None


def test_sizes_in_features_are_those_of_the_region(explained: Trace) -> None:
    rows = rows_of("pooling_rows", explained)
    part = explained.recording.whole
    box = part.proposals.boxes[int(rows["region"].split(" ")[1])]
    stride = int(rows["level"].rpartition(" ")[2])
    wide, high = ((box[2:] - box[:2]) / stride).tolist()
    assert rows["size in features"] == f"{wide:.1f} x {high:.1f}"
    assert rows["this detector uses"] == "RoI align"


def test_the_objectness_of_each_level_is_that_of_its_anchors(explained: Trace) -> None:
    part = explained.recording.whole
    assert part.first is not None
    levels = part.first.output.logits[0, :, 0].sigmoid().split(part.first.anchors.per_level)
    for text, scores in zip(rows_of("objectness_rows", explained).values(), levels, strict=True):
        assert text == f"best {float(scores.max()):.3f}, {int((scores > 0.5).sum()):,} above 0.5"


def test_the_mini_batch_has_the_size_of_the_settings(explained: Trace) -> None:
    rows = rows_of("sample_rows", explained)
    assert rows["anchors drawn"] == "256 of 256"
    positive, negative = (int(rows[name].split(",")[0]) for name in ("positive", "negative"))
    assert positive + negative == 256
