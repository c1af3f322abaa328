"""NMS of groups keeps what NMS of each group keeps, without a shift that costs fractions."""

from __future__ import annotations

import pytest
import torch

from faster_rcnn.export.suppression import (
    IN_ONNX,
    IN_TORCH,
    NO_BOX,
    Selections,
)
from faster_rcnn.ops.nms import nms

WAYS = pytest.mark.parametrize("ways", [IN_TORCH, IN_ONNX])


def boxes_and_scores() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    corners = torch.rand(3, 40, 2, generator=generator) * 60
    sides = torch.rand(3, 40, 2, generator=generator) * 40
    scores = torch.rand(3, 40, generator=generator)
    scores[1, ::3] = NO_BOX
    return torch.cat((corners, corners + sides), dim=2), scores


@WAYS
@pytest.mark.parametrize("threshold", [0.3, 0.7])
def test_each_group_is_on_its_own(ways: Selections, threshold: float) -> None:
    boxes, scores = boxes_and_scores()
    mask = ways.suppress(boxes, scores, threshold, 40)
    for group in range(3):
        places = torch.nonzero(scores[group] >= 0)[:, 0]
        kept = places[nms(boxes[group][places], scores[group][places], threshold)]
        assert torch.nonzero(mask[group])[:, 0].tolist() == sorted(kept.tolist())
    assert 0 < mask.sum() < mask.numel()


@WAYS
def test_a_threshold_of_one_keeps_every_box(ways: Selections) -> None:
    boxes, scores = boxes_and_scores()
    assert torch.equal(ways.suppress(boxes, scores, 1.0, 40), scores >= 0)


@WAYS
def test_without_a_box_nothing_is_kept(ways: Selections) -> None:
    assert not ways.suppress(torch.zeros(2, 5, 4), torch.full((2, 5), NO_BOX), 0.5, 5).any()


@WAYS
def test_equal_scores_keep_their_order(ways: Selections) -> None:
    values, indices = ways.best(torch.tensor([[0.5, 0.9, 0.5, 0.9], [0.1, 0.1, 0.1, 0.2]]), 3)
    assert indices.tolist() == [[1, 3, 0], [3, 0, 1]]
    assert torch.equal(values, torch.tensor([[0.9, 0.9, 0.5], [0.2, 0.1, 0.1]]))
