"""NMS of all groups of all images in one call keeps the boxes that NMS of one group after the other keeps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import nms as torchvision_nms

from faster_rcnn.kernels import together
from faster_rcnn.kernels.nms import survivors_of_groups, survivors_of_levels, survivors_together
from faster_rcnn.ops import nms as plain
from tiny import boxes_of

THRESHOLDS = (0.25, 0.5, 0.75, 1.0)
"""Float32 holds them, so that an IoU of integers is on the same side of them in float32 and in float64."""

Kept = list[list[int]]


@pytest.fixture
def _on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "computed_together", lambda _: True)


def lists(kept: list[Tensor]) -> Kept:
    return [own.tolist() for own in kept]


@st.composite
def boxes_in_groups(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, Tensor, int, int]:
    """Boxes with whole corners, a few scores that are often equal, whether each is fit, and groups of each image."""
    images, groups = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    corner, length = st.integers(0, 8), st.integers(0, 6)
    box = st.tuples(corner, corner, length, length).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
    row = st.tuples(box, st.integers(0, 4), st.booleans(), st.integers(0, images * groups - 1))
    rows = draw(st.lists(row, max_size=30))
    boxes, scores, fit, group = zip(*rows, strict=True) if rows else ((), (), (), ())
    given = boxes_of(boxes), torch.tensor(scores) / 4.0, torch.tensor(fit, dtype=torch.bool), torch.tensor(group).long()
    return *given, groups, images


@settings(deadline=None, max_examples=200)
@given(boxes_in_groups(), st.sampled_from(THRESHOLDS), st.integers(1, 8))
def test_groups_of_images_together_are_each_group_alone(
    case: tuple[Tensor, Tensor, Tensor, Tensor, int, int], iou_threshold: float, max_results: int
) -> None:
    found, expected = (
        lists(way(*case, iou_threshold, max_results)) for way in (survivors_together, plain.survivors_of_groups)
    )
    assert found == expected


@settings(deadline=None, max_examples=100)
@given(st.data(), st.sampled_from(THRESHOLDS), st.integers(1, 8))
def test_levels_of_images_together_are_each_level_alone(data: st.DataObject, threshold: float, results: int) -> None:
    images, per_level = data.draw(st.integers(1, 3)), data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=4))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 10**6)))
    shape = images, sum(per_level)
    corners = torch.randint(0, 8, (*shape, 2), generator=generator)
    sides = torch.randint(0, 6, (*shape, 2), generator=generator)
    boxes = torch.cat((corners, corners + sides), dim=-1).float()
    scores = torch.randint(0, 5, shape, generator=generator) / 4
    fit = torch.randint(0, 4, shape, generator=generator) > 0
    case = boxes, scores, fit, per_level, threshold, results
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(together, "computed_together", lambda _: True)
        found = lists(survivors_of_levels(*case))
    assert found == lists(plain.survivors_of_levels(*case))


@pytest.mark.parametrize("images", [1, 2, 8])
def test_crowded_boxes_of_any_numbers(images: int) -> None:
    """A thousand boxes of an image of 1333 pixels on each of five levels, as the first stage proposes them."""
    generator = torch.Generator().manual_seed(images)
    per_level = [1000, 1000, 500, 200, 60]
    shape = images, sum(per_level)
    centres = torch.rand(*shape, 2, generator=generator) * torch.tensor([1333.0, 800.0])
    sides = 150 * torch.rand(*shape, 2, generator=generator)
    boxes = torch.cat((centres - sides / 2, centres + sides / 2), dim=-1).clamp(0, 800)
    scores = torch.rand(shape, generator=generator)
    fit = (boxes[..., 2:] - boxes[..., :2]).amin(dim=-1) >= 1e-3
    case = boxes, scores, fit, per_level, 0.7, 1000
    expected = lists(plain.survivors_of_levels(*case))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(together, "computed_together", lambda _: True)
        assert lists(survivors_of_levels(*case)) == expected
    assert all(200 < len(own) <= 1000 for own in expected)


def test_equal_scores_keep_their_order() -> None:
    # Three boxes that do not touch, and a duplicate of the second: the first of equal boxes stays.
    boxes = boxes_of([[0, 0, 2, 2], [4, 0, 6, 2], [4, 0, 6, 2], [8, 0, 9, 1]])
    case = boxes, torch.full((4,), 0.5), torch.ones(4, dtype=torch.bool), torch.zeros(4, dtype=torch.int64), 1, 1
    assert lists(survivors_together(*case, 0.5, 9)) == [[0, 1, 3]]


@pytest.mark.parametrize("iou_threshold", [0.5, 1.0])
def test_unfit_boxes_neither_survive_nor_suppress(iou_threshold: float) -> None:
    boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 4], [9, 9, 9, 9], [float("nan")] * 4])
    scores, groups = torch.tensor([0.9, 0.8, 0.7, float("nan")]), torch.zeros(4, dtype=torch.int64)
    for fit, kept in (([False, True, False, False], [1]), ([False] * 4, [])):
        case = boxes, scores, torch.tensor(fit), groups, 1, 1, iou_threshold, 9
        assert lists(survivors_together(*case)) == lists(plain.survivors_of_groups(*case)) == [kept]


def test_many_classes_of_large_images_cost_no_fractions() -> None:
    """The shift of the last of 32 * 1000 groups is 6.4e7 pixels; there float32 cannot tell the two boxes apart."""
    boxes = torch.tensor([[0.0, 0.0, 2000.0, 2000.0], [10.0, 10.0, 10.25, 10.25], [10.25, 10.0, 10.5, 10.25]])
    groups = torch.tensor([0, 31_999, 31_999])
    case = boxes, torch.tensor([0.9, 0.8, 0.7]), torch.ones(3, dtype=torch.bool), groups, 1000, 32, 0.01, 9
    assert lists(survivors_together(*case)) == [[0], *[[]] * 30, [1, 2]]


def test_no_boxes() -> None:
    nothing = torch.zeros(0, dtype=torch.int64)
    case = boxes_of([]), torch.zeros(0), torch.zeros(0, dtype=torch.bool), nothing, 3, 2, 0.5, 9
    assert lists(survivors_together(*case)) == lists(plain.survivors_of_groups(*case)) == [[], []]


@pytest.mark.usefixtures("_on_a_gpu")
@pytest.mark.parametrize(("limit", "calls"), [(4, 1), (3, 2)])
def test_too_many_boxes_are_compared_image_by_image(limit: int, calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    def counting(way: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def counted(boxes: Tensor, *rest: object) -> Tensor:
            compared.append(len(boxes))
            return way(boxes, *rest)

        return counted

    monkeypatch.setattr(together, "MAX_BOXES", limit)
    monkeypatch.setattr("faster_rcnn.ops.nms._nms", counting(torchvision_nms))
    boxes, groups = boxes_of([[0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 2, 2], [5, 5, 6, 6]]), torch.tensor([0, 0, 1, 1])
    scores = torch.tensor([0.6, 0.9, 0.8, 0.7])
    kept = survivors_of_groups(boxes, scores, torch.ones(4, dtype=torch.bool), groups, 1, 2, 0.5, 9)
    assert lists(kept) == [[1], [2, 3]]
    assert len(compared) == calls
