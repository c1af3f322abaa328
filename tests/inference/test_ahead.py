from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from faster_rcnn.inference.ahead import done_ahead


def test_everything_comes_in_order() -> None:
    assert list(done_ahead(range(20), lambda number: number * number, 1)) == [number**2 for number in range(20)]
    assert list(done_ahead([], str, 1)) == []
    assert list(done_ahead([7], str, 5)) == ["7"]


@pytest.mark.parametrize("ahead", [1, 4])
def test_items_are_taken_as_they_are_needed(ahead: int) -> None:
    taken: list[int] = []

    def endless() -> Iterator[int]:
        number = 0
        while True:
            taken.append(number)
            yield number
            number += 1

    results = done_ahead(endless(), str, ahead)
    assert taken == []  # nothing happens before the first result is asked for
    for done in range(10):
        assert next(results) == str(done)
        assert len(taken) == done + 1 + ahead
    results.close()  # type: ignore[attr-defined]  # it is a generator


def test_work_is_done_beside_the_caller() -> None:
    second_is_being_done, first_was_used = threading.Event(), threading.Event()

    def work(number: int) -> int:
        if number == 1:
            second_is_being_done.set()
            assert first_was_used.wait(10)
        return number

    results = done_ahead([0, 1], work, 1)
    assert next(results) == 0
    assert second_is_being_done.wait(10)
    first_was_used.set()
    assert list(results) == [1]


def test_a_caller_who_stops_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    for result in done_ahead(range(100), str, 3):
        if result == "2":
            break
    assert threading.active_count() == before


def test_a_fault_of_the_work_comes_in_its_turn() -> None:
    results = done_ahead([1, 0, 2], lambda number: 1 / number, 2)
    assert next(results) == 1.0
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_a_fault_of_the_items_comes_after_what_was_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ConnectionError("the camera is gone")

    results = done_ahead(items(), str, 1)
    assert [next(results), next(results)] == ["1", "2"]
    with pytest.raises(ConnectionError, match="the camera is gone"):
        next(results)
