"""Detections are compared one to one; what rounding decides is told apart from what is wrong."""

from __future__ import annotations

import pytest
import torch

from faster_rcnn.export.verification import Differences, compare_detections, images_of
from faster_rcnn.structures import Detections, ImageSize
from tiny import boxes_of, random_image


def found(*rows: tuple[float, float, int]) -> Detections:
    """Detections of 10 x 10 pixels from their left edges, scores and labels."""
    boxes = boxes_of([(x, 0.0, x + 10, 10.0) for x, _, _ in rows])
    return Detections(
        boxes,
        torch.tensor([score for _, score, _ in rows]),
        torch.tensor([label for *_, label in rows], dtype=torch.int64),
    )


def test_equal_detections_have_no_difference_in_any_order() -> None:
    differences = Differences()
    compare_detections(differences, found((0, 0.9, 1), (50, 0.8, 2)), found((50, 0.8, 2), (0, 0.9, 1)), is_decided=True)
    assert (differences.box, differences.score, differences.missing, differences.compared) == (0, 0, 0, 2)
    assert differences.is_good


@pytest.mark.parametrize("other", [found((0.02, 0.9, 1)), found((0, 0.9002, 1)), found((0, 0.9, 2)), found()])
def test_another_box_score_or_label_is_a_difference(other: Detections) -> None:
    differences = Differences()
    compare_detections(differences, found((0, 0.9, 1)), other, is_decided=True)
    assert not differences.is_good


def test_an_undecided_image_may_lack_detections_but_not_move_them() -> None:
    differences = Differences()
    compare_detections(differences, found((0, 0.9, 1), (50, 0.8, 2)), found((0, 0.9, 1)), is_decided=False)
    assert differences.is_good
    compare_detections(differences, found((0, 0.9, 1)), found((0.5, 0.9, 1)), is_decided=False)
    assert not differences.is_good


def test_without_a_detection_that_was_compared_the_line_has_it() -> None:
    assert "0 detections" in str(Differences())


def test_given_images_are_compared_beside_a_blank_one_and_noise() -> None:
    given = images_of(ImageSize(40, 30), [random_image(20, 15)] * 7)
    assert [tuple(each.shape) for each in given] == [(3, 40, 30)] * 6
    assert given[0].unique().numel() == 1
    assert len(images_of(ImageSize(40, 30), [])) == 6
