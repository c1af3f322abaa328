"""Schedules: the threads that read and process the images of a stream, and how many images they prefetch.

A stream of images is processed in order, whatever its schedule: ``one_at_a_time`` holds a single image in memory,
``prefetched`` reads images while earlier ones are processed, and ``two_workers`` processes two images concurrently on
a CPU.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from threading import Condition, Thread
from typing import Generic, TypeVar

import torch

Item = TypeVar("Item")
Read = TypeVar("Read")
Done = TypeVar("Done")

THREADS = "faster-rcnn-prefetch"
"""Prefix of the names of the background threads."""


@dataclass(frozen=True, slots=True)
class Steps(Generic[Item, Read, Done]):
    """The steps from an item of a stream to its result."""

    read: Callable[[Item], Read]
    """Runs first, in any thread."""
    prepare: Callable[[Read], None]
    """Runs between ``read`` and ``process`` where items are processed concurrently: in the order of the items."""
    process: Callable[[Sequence[Read]], Iterable[Done]]
    """Gives one result for each member of a group, in their order."""
    is_alone: Callable[[Read], bool]
    """Whether an item that was read is processed alone, as a group of one."""


Schedule = Callable[[Iterable[Item], Steps[Item, Read, Done]], Iterator[Done]]
"""Runs the steps for every item; gives the results in the order of the items, each when the caller takes it."""


def one_at_a_time(items: Iterable[Item], steps: Steps[Item, Read, Done]) -> Iterator[Done]:
    """Read and process each item when the caller takes its result, so that only one is in memory."""
    for item in items:
        yield from steps.process([steps.read(item)])
        del item  # it may be large, and is not held while the next one is made


def prefetched(items: Iterable[Item], steps: Steps[Item, Read, Done], batch: int = 1) -> Iterator[Done]:
    """Read the next ``batch`` items in a background thread while the caller's thread processes a group of ``batch``."""
    for group in _grouped(map_prefetched(items, steps.read, batch), batch, steps.is_alone):
        yield from steps.process(group)
        del group  # its images are not held while the next group is read


def two_workers(items: Iterable[Item], steps: Steps[Item, Read, Done]) -> Iterator[Done]:
    """Read and process two items concurrently, each with half of torch's CPU threads.

    ``prefetched`` takes its place where torch has a single thread.
    """
    if torch.get_num_threads() == 1:
        yield from prefetched(items, steps)
        return
    gate = Gate()

    def work(numbered: tuple[int, Item]) -> Done:
        number, item = numbered
        read: list[Read] = []  # the item's, unless reading raises
        try:
            read = [steps.read(item)]
        finally:  # after any error, too, as later items wait for this one at the gate
            with gate.passed_in_order(number):
                for one in read:
                    steps.prepare(one)
        [done] = steps.process(read)
        return done

    yield from map_two_workers(enumerate(items), work)


def map_prefetched(items: Iterable[Item], work: Callable[[Item], Done], ahead: int) -> Iterator[Done]:
    """Apply ``work`` to every item in one background thread, at most ``ahead`` items in advance; keeps the order.

    Items are taken in the caller's thread, as they are needed. Errors of the work or of the items are raised here,
    after the results of all items before. A caller who stops early waits only for the item that is being processed.
    """
    return _in_order(items, work, ThreadPoolExecutor(1, THREADS), ahead)


def map_concurrently(items: Iterable[Item], work: Callable[[Item], Done], workers: int) -> Iterator[Done]:
    """Apply ``work`` in some background threads, one item in advance for each; otherwise as ``map_prefetched``."""
    return _in_order(items, work, ThreadPoolExecutor(workers, THREADS), workers)


def map_two_workers(items: Iterable[Item], work: Callable[[Item], Done]) -> Iterator[Done]:
    """Apply ``work`` to every item, two items concurrently; keeps the order, and errors, as ``map_prefetched`` does.

    Each of the two worker threads has half of torch's CPU threads. While one item leaves cores idle, the other item
    uses them. A single item is processed in the caller's thread, with all of torch's threads.
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
        workers = ThreadPoolExecutor(2, THREADS, take_threads, (max(1, threads // 2), threads))
        every = chain((first, second), left)
        del first, second  # items may be large, and streams long
        # A third item waits, so that a worker that is done with the second one before the first one goes on.
        yield from _in_order(every, work, workers, 2)


class Gate:
    """A point that concurrent work, numbered from 0 on, passes in the order of its numbers."""

    def __init__(self) -> None:
        self._next = 0
        self._passed = Condition()

    @contextmanager
    def passed_in_order(self, number: int) -> Iterator[None]:
        """Wait until every smaller number has passed; the next number waits for this one."""
        with self._passed:
            self._passed.wait_for(lambda: self._next == number)
        try:
            yield
        finally:
            with self._passed:
                self._next += 1
                self._passed.notify_all()


def _grouped(reads: Iterable[Read], size: int, is_alone: Callable[[Read], bool]) -> Iterator[list[Read]]:
    """Groups of ``size`` in their order; an item that is processed alone ends the group before it, as the end does."""
    group: list[Read] = []
    for one in reads:
        if is_alone(one):
            if group:
                yield group
            group = [one]
        else:
            group.append(one)
        if len(group) == size or is_alone(one):
            yield group
            group = []
    if group:
        yield group


def take_threads(count: int, of_others: int) -> None:
    """Let torch compute on ``count`` threads where this thread calls it, and on ``of_others`` in all new threads."""
    torch.get_num_threads()  # this thread takes the initial number now; or else it would when it first computes
    torch.set_num_threads(count)  # sets the number of this thread, and the initial number of new threads
    restoring = Thread(target=torch.set_num_threads, args=(of_others,))
    restoring.start()
    restoring.join()


def _in_order(
    items: Iterable[Item], work: Callable[[Item], Done], workers: ThreadPoolExecutor, ahead: int
) -> Iterator[Done]:
    """The results of ``work`` in the order of the items, with at most ``ahead`` more items submitted; ends the workers.

    A result that is there is not held back until so many items are: those of a camera come slowly.
    """
    pending: deque[Future[Done]] = deque()
    try:
        for started in _started(items, work, workers):
            pending.append(started)
            if len(pending) > ahead or (len(pending) > 1 and pending[0].done()):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        workers.shutdown(cancel_futures=True)


def _started(
    items: Iterable[Item], work: Callable[[Item], Done], workers: ThreadPoolExecutor
) -> Iterator[Future[Done]]:
    """Submit each item to the workers; an error of the items themselves becomes the outcome of a last future."""
    try:
        for item in items:
            yield workers.submit(work, item)
    except Exception as error:  # noqa: BLE001  # raised again when its turn comes
        failed: Future[Done] = Future()
        failed.set_exception(error)
        yield failed
