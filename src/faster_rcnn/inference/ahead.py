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
    worker = ThreadPoolExecutor(1, "faster-rcnn-ahead")
    pending: deque[Future[Done]] = deque()
    try:
        for started in _started(items, work, worker):
            pending.append(started)
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        worker.shutdown(cancel_futures=True)


def _started(items: Iterable[Item], work: Callable[[Item], Done], worker: ThreadPoolExecutor) -> Iterator[Future[Done]]:
    """Take items and put them to work; what the items raise becomes the outcome of a last piece of work."""
    try:
        for item in items:
            yield worker.submit(work, item)
    except Exception as error:  # noqa: BLE001  # raised again when its turn comes
        failed: Future[Done] = Future()
        failed.set_exception(error)
        yield failed
