"""Doing the next piece of work while the caller is busy with this one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")


def done_ahead(items: Iterable[Item], work: Callable[[Item], Done], ahead: int) -> Iterator[Done]:
    """``work`` of every item in their order, done in one background thread, at most ``ahead`` items in advance.

    Items are taken in the caller's thread, as they are needed. What the work or the items raise is raised here, after
    everything that came before it. A caller who stops early waits for no more than the piece that is being done.
    """
    iterator = iter(items)
    pending: deque[Future[Done]] = deque()
    with ThreadPoolExecutor(1, "faster-rcnn-ahead") as worker:
        try:
            more = True
            while more or pending:
                while more and len(pending) <= ahead:
                    more = _start_next(iterator, work, worker, pending)
                if pending:
                    yield pending.popleft().result()
        finally:
            for each in pending:
                each.cancel()


def _start_next(
    items: Iterator[Item], work: Callable[[Item], Done], worker: ThreadPoolExecutor, pending: deque[Future[Done]]
) -> bool:
    """Take an item and put it to work; false after the last one."""
    try:
        pending.append(worker.submit(work, next(items)))
    except StopIteration:
        return False
    except Exception as error:  # noqa: BLE001  # raised again when its turn comes
        failed: Future[Done] = Future()
        failed.set_exception(error)
        pending.append(failed)
        return False
    return True
