"""What both sides are sure of has to be found on both sides; a file of which nothing is known is not good."""

from __future__ import annotations

import pytest
import torch

from faster_rcnn.export.agreement import Agreement, add_agreement
from faster_rcnn.structures import Detections
from tiny import boxes_of


def found(*rows: tuple[float, float, int]) -> Detections:
    """Detections of 10 x 10 pixels from their left edges, scores and labels."""
    return Detections(
        boxes_of([(x, 0.0, x + 10, 10.0) for x, _, _ in rows]),
        torch.tensor([score for _, score, _ in rows]),
        torch.tensor([label for *_, label in rows], dtype=torch.int64),
    )


def agreement(one: Detections, other: Detections) -> Agreement:
    result = Agreement()
    add_agreement(result, one, other)
    return result


def test_a_moved_box_with_another_score_is_the_same_detection() -> None:
    # 10 x 10 boxes 2 pixels apart: IoU 80 / 120.
    result = agreement(found((0, 0.9, 1), (50, 0.1, 2)), found((2, 0.75, 1)))
    assert (result.sure, result.shared) == (2, 2)
    assert result.is_good
    assert "2 of 2" in str(result)


@pytest.mark.parametrize("other", [found((5, 0.9, 1)), found((0, 0.6, 1)), found((0, 0.9, 2)), found()])
def test_another_place_score_or_label_is_another_detection(other: Detections) -> None:
    result = agreement(found((0, 0.9, 1)), other)
    assert result.shared == 0
    assert not result.is_good


def test_one_of_ten_may_be_missing() -> None:
    ten = found(*((20.0 * place, 0.9, 1) for place in range(10)))
    assert agreement(ten, ten[:9]).is_good  # 18 of 19
    assert not agreement(ten, ten[:7]).is_good  # 14 of 17


def test_nothing_that_is_sure_is_not_good() -> None:
    result = agreement(found((0, 0.4, 1)), found((0, 0.4, 1)))
    assert not result.is_good
    assert "give --images with objects" in str(result)
