"""Metrics of images that several processes predicted equal those of one process in all digits."""

from __future__ import annotations

import pytest

from faster_rcnn.evaluation import engine
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.evaluation.shards import measure_shares
from faster_rcnn.evaluation.split import measure_split
from faster_rcnn.system.distributed import ALONE
from several import in_processes
from several_shares import measured_in_shares, tied_split

pytestmark = pytest.mark.xdist_group("several processes")


@pytest.fixture(scope="module")
def of_one() -> Metrics:
    split, found = tied_split(60)
    return measure_split(split, found)


def test_one_process_measures_as_ever(of_one: Metrics) -> None:
    split, found = tied_split(60)
    assert measure_shares(split, found, ALONE) == of_one
    assert (of_one.images, of_one.ignored > 5, 0.1 < (of_one.ap or 0) < 0.9) == (59, True, True)


@pytest.mark.parametrize("count", [2, 3])
def test_the_metrics_of_all_are_those_of_one_process_in_every_process(count: int, of_one: Metrics) -> None:
    assert in_processes(count, measured_in_shares, 60, {}) == [of_one] * count


def test_equal_scores_are_ranked_by_the_order_of_images(of_one: Metrics) -> None:
    """The test above proves something: with the images in another order, the same detections measure otherwise."""
    split, found = tied_split(60)
    reverse = len(split.records) - 1
    renamed = tuple(
        type(one)(one.path, one.file_name, reverse - place, one.size, one.truth, one.areas, one.boxes_xywh)
        for place, one in enumerate(split.records)
    )
    other = measure_split(type(split)(split.name, renamed, split.classes, ()), found)
    assert other.ap != of_one.ap


@pytest.mark.parametrize("hotcoco", [{1: "absent"}, {0: "old", 1: "old"}], ids=["absent in one", "old"])
def test_detections_are_gathered_where_parts_cannot_be_merged(hotcoco: dict[int, str], of_one: Metrics) -> None:
    for found in in_processes(2, measured_in_shares, 60, hotcoco):
        assert found.to_json("test") == of_one.to_json("test")


def test_pycocotools_measures_where_no_process_has_hotcoco(of_one: Metrics) -> None:
    for found in in_processes(2, measured_in_shares, 60, {0: "absent", 1: "absent"}):
        assert (found.engine, found.to_json("test")) == ("pycocotools", of_one.to_json("test"))


def test_there_may_be_more_processes_than_images() -> None:
    split, found = tied_split(2)
    assert in_processes(3, measured_in_shares, 2, {}) == [measure_split(split, found)] * 3


def test_this_version_of_hotcoco_merges() -> None:
    assert engine.streaming_evaluator() is not None
