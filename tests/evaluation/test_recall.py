"""Recall of proposals by hand, and against pycocotools' average recall."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from faster_rcnn.evaluation.coco import TruthOfImage, columns_of
from faster_rcnn.evaluation.engine import curves_by_hotcoco, curves_by_pycocotools
from faster_rcnn.evaluation.recall import _OBJECT, COUNTS, _as_detections, measure_proposals
from faster_rcnn.structures import GroundTruth, ImageSize, Proposals
from tiny import boxes_of

SIZE = ImageSize(200, 200)


def image(number: int, *boxes: list[float]) -> TruthOfImage:
    truth = GroundTruth(boxes_of(boxes), torch.arange(len(boxes)), torch.zeros(len(boxes), dtype=torch.bool))
    sides = truth.boxes[:, 2:] - truth.boxes[:, :2]
    return TruthOfImage(number, SIZE, truth, sides.prod(dim=1).double())


def proposals_of(*boxes: list[float]) -> Proposals:
    return Proposals(boxes_of(boxes), torch.zeros(len(boxes)))


def test_recall_by_hand() -> None:
    # Truths of 10 x 10 (small) and 100 x 100 (large). The first proposal covers 80 % of the large one, the second 60 %
    # of the small one, a third is a double of the first, which no truth is left for.
    truths = [image(1, [0, 0, 10, 10], [50, 50, 150, 150])]
    found = measure_proposals(truths, [proposals_of([50, 50, 150, 130], [0, 0, 10, 6], [50, 50, 150, 129])])
    # IoU 0.80 counts up to 0.80 (7 of 10 thresholds), IoU 0.60 up to 0.60 (3 of 10).
    assert found.recall[10] == pytest.approx((1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0, 0, 0))
    assert found.average[10]["large"] == pytest.approx(0.7)
    assert found.average[10]["small"] == pytest.approx(0.3)
    assert found.average[10]["medium"] is None
    assert found.average[300]["all"] == pytest.approx(0.5)
    assert (found.images, found.truths) == (1, 2)


def test_only_the_best_proposals_count_and_their_order_is_that_given() -> None:
    far = [[100.0 + number, 150, 110 + number, 160] for number in range(10)]
    found = measure_proposals([image(1, [0, 0, 50, 50])], [proposals_of(*far, [0, 0, 50, 50])])
    assert found.average[10]["all"] == 0
    assert found.average[100]["all"] == 1


def test_classes_do_not_count_and_ignored_truths_need_not_be_found() -> None:
    truth = GroundTruth(
        boxes_of([[0, 0, 50, 50], [100, 100, 150, 150]]), torch.tensor([3, 9]), torch.tensor([False, True])
    )
    one = TruthOfImage(1, SIZE, truth, torch.tensor([2500.0, 2500.0]).double())
    found = measure_proposals([one], [proposals_of([0, 0, 50, 50])])
    assert (found.truths, found.average[10]["all"]) == (1, 1.0)


def test_without_truths_or_proposals() -> None:
    assert measure_proposals([image(1)], [proposals_of([0, 0, 5, 5])]).average[10]["all"] is None
    assert measure_proposals([image(1, [0, 0, 5, 5])], [proposals_of()]).average[1000]["all"] == 0
    nothing = measure_proposals([], [])
    assert nothing.recall[10] == (None,) * 10
    assert "n/a" in nothing.table()


def test_average_recall_is_that_of_pycocotools() -> None:
    random = torch.Generator().manual_seed(0)

    def boxes(count: int) -> torch.Tensor:
        corners = torch.rand(count, 2, generator=random) * 120
        return torch.cat([corners, corners + 4 + torch.rand(count, 2, generator=random) * 70], dim=1)

    truths = [image(number, *boxes(5).tolist()) for number in range(1, 6)]
    proposals = [Proposals(boxes(400), torch.rand(400, generator=random)) for _ in truths]
    found = measure_proposals(truths, proposals)
    columns = columns_of(truths_without_class(truths), [_as_detections(each) for each in proposals], _OBJECT)
    for oracle in (curves_by_pycocotools(columns, COUNTS), curves_by_hotcoco(columns, COUNTS)):
        for index, count in enumerate(COUNTS):
            expected = float(np.mean(oracle.recall[:, 0, 0, index]))
            assert found.average[count]["all"] == pytest.approx(expected, abs=1e-6)
    assert 0 < (found.average[10]["all"] or 0) < (found.average[300]["all"] or 0) < 1


def truths_without_class(truths: list[TruthOfImage]) -> list[TruthOfImage]:
    return [
        TruthOfImage(
            one.image_id,
            one.size,
            GroundTruth(one.truth.boxes, torch.zeros_like(one.truth.labels), one.truth.ignored),
            one.areas,
        )
        for one in truths
    ]


@pytest.mark.parametrize(
    ("most", "unmeasured"),
    [(0, (100, 300, 1000)), (10, (100, 300, 1000)), (11, (300, 1000)), (300, (1000,)), (301, ())],
)
def test_numbers_beyond_all_proposals_are_not_measured(most: int, unmeasured: tuple[int, ...]) -> None:
    # The object is found by the last proposal alone, so by the first number that takes in all of them.
    boxes = [[100.0, 150, 110, 160]] * max(most - 1, 0) + [[0, 0, 50, 50]] * min(most, 1)
    few = proposals_of([100, 150, 110, 160])
    found = measure_proposals([image(1, [0, 0, 50, 50]), image(2)], [proposals_of(*boxes), few])
    # With none in the first image the second one's single proposal is the most.
    assert (found.max_proposals, found.unmeasured) == (max(most, 1), unmeasured)
    written: Any = found.to_json()
    first = next(count for count in COUNTS if count >= most)
    assert written["average_recall"][str(first)] == {
        "all": min(most, 1),
        "small": None,
        "medium": min(most, 1),
        "large": None,
    }
    for count in unmeasured:
        assert written["recall"][str(count)] == [None] * 10
        assert written["average_recall"][str(count)] == dict.fromkeys(("all", "small", "medium", "large"))
    *_, last = found.table().splitlines()
    assert last.startswith(f"at most {max(most, 1)} proposals of an image") == bool(unmeasured)
    dashes = [line.split()[0] for line in found.table().splitlines() if line.split()[1] == "-"]
    assert dashes == [str(count) for count in unmeasured]


def test_the_table_and_the_json_hold_the_numbers() -> None:
    found = measure_proposals([image(1, [0, 0, 10, 10])], [proposals_of([0, 0, 10, 10])])
    # The head, four numbers, and that three of them are more than there are.
    assert len(found.table().splitlines()) == 6
    assert "1.000" in found.table()
    json = found.to_json()
    assert json["ious"] == [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    assert json["average_recall"]["10"] == {"all": 1.0, "small": 1.0, "medium": None, "large": None}  # type: ignore[index]
