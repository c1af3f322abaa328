"""Doing the next piece of work while this one is being done, or while the caller is busy with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from threading import Condition, Thread
from typing import TypeVar

import torch

Item = TypeVar("Item")
Done = TypeVar("Done")

THREADS = "faster-rcnn-ahead"
"""Name of the threads that work."""


def done_ahead(items: Iterable[Item], work: Callable[[Item], Done], ahead: int) -> Iterator[Done]:
    """``work`` of every item in their order, done in one background thread, at most ``ahead`` items in advance.

    Items are taken in the caller's thread, as they are needed. What the work or the items raise is raised here, after
    everything that came before it. A caller who stops early waits for no more than the piece that is being done.
    """
    return _in_order(items, work, ThreadPoolExecutor(1, THREADS), ahead)


def done_two_at_once(items: Iterable[Item], work: Callable[[Item], Done]) -> Iterator[Done]:
    """As ``done_ahead`` by one item, by two threads, each of which has half of torch's own threads for itself.

    Wherever a piece of work keeps one core busy, and be it to wait for the others, the other piece goes on. A single
    item has all threads, those of the caller.
    """
    left = iter(items)
    for first in islice(left, 1):
        try:
            second = next(left)
        except Exception as error:  # raised again when its turn comes
            yield work(first)
            if not isinstance(error, StopIteration):
                raise
            return
        threads = torch.get_num_threads()
        workers = ThreadPoolExecutor(2, THREADS, _take_threads, (max(1, threads // 2), threads))
        every = chain((first, second), left)
        del first, second  # items may be large, and streams long
        yield from _in_order(every, work, workers, 1)


class Gate:
    """A point that pieces of work, numbered from 0 on and done at the same time, pass in the order of their numbers."""

    def __init__(self) -> None:
        self._next = 0
        self._passed = Condition()

    @contextmanager
    def passed_in_order(self, number: int) -> Iterator[None]:
        """Wait until every smaller number is through; the next one waits for this one."""
        with self._passed:
            self._passed.wait_for(lambda: self._next == number)
        try:
            yield
        finally:
            with self._passed:
                self._next += 1
                self._passed.notify_all()


def _take_threads(count: int, of_others: int) -> None:
    """Let torch work on ``count`` threads whenever this thread calls it, and on ``of_others`` for all new threads."""
    torch.set_num_threads(count)  # of this thread; and new threads begin with it, too
    torch.get_num_threads()  # or else this thread, too, would ask what to begin with when it first computes
    restoring = Thread(target=torch.set_num_threads, args=(of_others,))
    restoring.start()
    restoring.join()


def _in_order(
    items: Iterable[Item], work: Callable[[Item], Done], workers: ThreadPoolExecutor, ahead: int
) -> Iterator[Done]:
    pending: deque[Future[Done]] = deque()
    try:
        for started in _started(items, work, workers):
            pending.append(started)
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        workers.shutdown(cancel_futures=True)


def _started(
    items: Iterable[Item], work: Callable[[Item], Done], workers: ThreadPoolExecutor
) -> Iterator[Future[Done]]:
    """Take items and put them to work; what the items raise becomes the outcome of a last piece of work."""
    try:
        for item in items:
            yield workers.submit(work, item)
    except Exception as error:  # noqa: BLE001  # raised again when its turn comes
        failed: Future[Done] = Future()
        failed.set_exception(error)
        yield failed
