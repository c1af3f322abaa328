from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from faster_rcnn.explanation.dataset.schedule import one_by_one, schedule_for
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prefetch import map_two_workers
from faster_rcnn.inference.prepared import PreparedDetector, prepare
from faster_rcnn.inference.tiles import Tiling
from files import loaded_model


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def detector(*, exact: bool) -> PreparedDetector:
    return prepare(loaded_model(), torch.device("cpu"), torch.float32, exact=exact)


def test_items_are_taken_one_by_one_in_their_order() -> None:
    taken: list[int] = []

    def work(item: int) -> int:
        taken.append(item)
        return -item

    results = one_by_one([3, 1, 2], work)
    assert next(results) == -3
    assert taken == [3]
    assert list(results) == [-1, -2]


def test_two_images_run_where_that_changes_no_bit_and_threads_suffice(threads: Callable[[int], None]) -> None:
    threads(2)
    assert schedule_for(Predictor(detector(exact=False))) is map_two_workers
    assert schedule_for(Predictor(detector(exact=True))) is one_by_one
    assert schedule_for(Predictor(detector(exact=False), tiling=Tiling(64, 0.2))) is one_by_one
    threads(1)
    assert schedule_for(Predictor(detector(exact=False))) is one_by_one
