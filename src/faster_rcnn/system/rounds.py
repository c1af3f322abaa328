"""Work on many items that several processes share: each does its part, and the first takes all results in order.

The results are exchanged in rounds, so that memory stays flat however many items there are. Item i belongs to process
``i % count``, as ``Processes.share`` deals them out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TypeVar

from faster_rcnn.system.distributed import Processes

Value = TypeVar("Value")

ITEMS_PER_ROUND = 32
"""Items of each process in a round.

A round ends when its slowest process is done. Over 32 images the differences between images largely cancel, and an
exchange of some milliseconds is little beside their work.
"""


def take_in_order(
    values: Iterator[Value],
    total: int,
    processes: Processes,
    take: Callable[[Value], None],
    per_round: int = ITEMS_PER_ROUND,
) -> None:
    """Compute the values of this process's items, and take those of all processes in the order of the items.

    Args:
        values: one value for each item of this process; ``pickle`` must take it. A value is computed when it is asked
            for.
        total: number of items of all processes.
        processes: the processes that share the items; a process alone takes each value at once.
        take: is called in the first process alone, for every item.
        per_round: largest number of items of a process between two exchanges.

    Raises:
        FasterRCNNError: in the first process, an error of ``values`` in any process, or of ``take``.
        ElsewhereError: in the other processes; the first process reports the error.
    """
    if not processes.are_several:
        for value in values:
            take(value)
            del value  # not held while the next one is made
        return
    size = per_round * processes.count
    for start in range(0, total, size):
        own = len(range(start + processes.rank, min(start + size, total), processes.count))
        here = processes.together(partial(_next, values, own))
        parts = processes.gathered_by_first(here)
        processes.together(partial(_take_all, parts, take))


def _next(values: Iterator[Value], count: int) -> list[Value]:
    return list(islice(values, count))


def _take_all(parts: Sequence[Sequence[Value]], take: Callable[[Value], None]) -> None:
    """Take one value of each part in turn; the first parts may be longer by one."""
    for place in range(len(parts[0]) if parts else 0):
        for part in parts:
            if place < len(part):
                take(part[place])
