"""Work in background threads: in order, lazily, concurrently with the caller, and without leaving threads behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import torch

from faster_rcnn.inference.prefetch import Gate, map_concurrently, map_prefetched, map_two_workers, take_threads

Do = Callable[[Iterable[Any], Callable[[Any], Any]], Iterator[Any]]
WAYS = [partial(map_prefetched, ahead=1), partial(map_prefetched, ahead=4), map_two_workers]
every_way = pytest.mark.parametrize("do", WAYS, ids=["one", "four", "two workers"])


@every_way
def test_everything_comes_in_order(do: Do) -> None:
    assert list(do(range(20), lambda number: number * number)) == [number**2 for number in range(20)]
    assert list(do([], str)) == []
    assert list(do([7], str)) == ["7"]


@pytest.mark.parametrize(("do", "ahead"), list(zip(WAYS, (1, 4, 2), strict=True)))
def test_items_are_taken_as_they_are_needed(do: Do, ahead: int) -> None:
    taken: list[int] = []

    def endless() -> Iterator[int]:
        number = 0
        while True:
            taken.append(number)
            yield number
            number += 1

    results = do(endless(), str)
    assert taken == []  # nothing happens before the first result is taken
    for done in range(10):
        assert next(results) == str(done)
        assert done + 2 <= len(taken) <= done + 1 + ahead
    results.close()  # type: ignore[attr-defined]  # it is a generator


def test_a_result_that_is_there_does_not_wait_for_more_items() -> None:
    """The frames of a camera come slowly, so that the work on one has ended when the next one comes."""
    taken: list[int] = []
    first_is_done = threading.Event()

    def slow() -> Iterator[int]:
        for number in range(9):
            taken.append(number)
            yield number
            first_is_done.wait(10)
            time.sleep(0.05)  # until the result is set, right after the work

    def work(number: int) -> int:
        first_is_done.set()
        return number

    assert next(map_prefetched(slow(), work, ahead=4)) == 0
    assert taken == [0, 1]


@every_way
def test_work_runs_concurrently_with_the_caller(do: Do) -> None:
    second_is_being_done, first_was_used = threading.Event(), threading.Event()

    def work(number: int) -> int:
        if number == 1:
            second_is_being_done.set()
            assert first_was_used.wait(10)
        return number

    results = do([0, 1], work)
    assert next(results) == 0
    assert second_is_being_done.wait(10)
    first_was_used.set()
    assert list(results) == [1]


def test_several_items_are_processed_concurrently_in_their_order() -> None:
    every = threading.Barrier(3, timeout=10)

    def work(number: int) -> int:
        every.wait()  # passes only if three threads wait
        return number

    assert list(map_concurrently(range(6), work, 3)) == list(range(6))
    assert list(map_concurrently([], work, 3)) == []


def test_two_items_are_processed_concurrently_each_on_half_of_the_threads() -> None:
    both, threads = threading.Barrier(2, timeout=10), torch.get_num_threads()
    torch.set_num_threads(6)
    try:

        def work(number: int) -> tuple[int, int]:
            both.wait()  # passes only if two threads wait
            torch.ones(1000, 1000).sum()  # computing does not change the number of threads
            return number, torch.get_num_threads()

        assert list(map_two_workers(range(6), work)) == [(number, 3) for number in range(6)]
        of_new_threads: list[int] = []
        new = threading.Thread(target=lambda: of_new_threads.append(torch.get_num_threads()))
        new.start()
        new.join()
        assert (torch.get_num_threads(), of_new_threads) == (6, [6])
    finally:
        torch.set_num_threads(threads)


def test_a_thread_keeps_its_number_where_another_one_sets_that_of_new_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(number: int) -> None:
        thread = threading.Thread(target=set_threads, args=(number,))
        thread.start()
        thread.join()

    def set_and_be_interrupted(number: int) -> None:
        set_threads(number)
        elsewhere(5)

    set_threads, before, found = torch.set_num_threads, torch.get_num_threads(), list[int]()
    monkeypatch.setattr(torch, "set_num_threads", set_and_be_interrupted)

    def work() -> None:
        take_threads(2, 6)
        found.append(torch.get_num_threads())

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    assert found == [2]
    set_threads(before)


def test_a_single_item_has_all_threads() -> None:
    assert list(map_two_workers([7], lambda _: threading.current_thread())) == [threading.current_thread()]

    def items() -> Iterator[int]:
        yield 7
        raise ConnectionError("the camera is gone")

    results = map_two_workers(items(), str)
    assert next(results) == "7"
    with pytest.raises(ConnectionError):
        next(results)


@every_way
def test_a_caller_who_stops_leaves_no_thread_behind(do: Do) -> None:
    before = threading.active_count()
    for result in do(range(100), str):
        if result == "2":
            break
    assert threading.active_count() == before


@every_way
def test_an_error_of_the_work_is_raised_in_the_order_of_the_items(do: Do) -> None:
    results = do([1, 0, 2], lambda number: 1 / number)
    assert next(results) == 1.0
    with pytest.raises(ZeroDivisionError):
        next(results)


@every_way
def test_an_error_of_the_items_is_raised_after_all_results_before_it(do: Do) -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ConnectionError("the camera is gone")

    results = do(items(), str)
    assert [next(results), next(results)] == ["1", "2"]
    with pytest.raises(ConnectionError, match="the camera is gone"):
        next(results)


def test_a_gate_is_passed_in_order_even_after_errors() -> None:
    gate = Gate()
    passed: list[int] = []

    def work(number: int) -> None:
        with gate.passed_in_order(number):
            passed.append(number)
            if number == 1:
                raise ValueError

    with ThreadPoolExecutor(4) as workers:
        pieces = [workers.submit(work, number) for number in (3, 2, 1, 0)]
    assert passed == [0, 1, 2, 3]
    assert isinstance(pieces[2].exception(), ValueError)
