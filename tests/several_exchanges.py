"""Exchanges between several processes, for tests/system/test_distributed.py."""

from __future__ import annotations

import logging
import os
import signal
from typing import Any

import torch

from faster_rcnn.errors import DatasetError
from faster_rcnn.system.distributed import Processes
from faster_rcnn.system.signals import Signalled


def exchanged(processes: Processes) -> dict[str, Any]:
    rank = processes.rank
    return {
        "share": processes.share(range(7)),
        "added": processes.added(torch.tensor([1, rank])).tolist(),
        "largest": processes.largest(rank, -rank),
        "gathered": processes.gathered({"rank": rank}),
        "gathered by first": processes.gathered_by_first(str(rank)),
        "from first": processes.from_first([rank]),
        "together": processes.together(lambda: rank * 10),
        "of first": processes.of_first(lambda: rank + 7),
        "outcomes": processes.outcomes(lambda: rank * 10),
    }


def failing(processes: Processes, ranks: tuple[int, ...], error: BaseException) -> None:
    def work() -> None:
        if processes.rank in ranks:
            raise error

    processes.together(work)


def interrupted(processes: Processes, rank: int) -> None:
    failing(processes, (rank,), Signalled(signal.SIGTERM))


def unreadable(processes: Processes, *ranks: int) -> None:
    failing(processes, ranks, DatasetError(f"image {processes.rank} cannot be read", code="E105"))


def abandoned(processes: Processes) -> None:
    """The last process is killed, and the others wait for it."""
    if processes.rank == processes.count - 1:
        os.kill(os.getpid(), signal.SIGKILL)
    processes.gathered(0)


def lines_of_each(processes: Processes) -> list[str]:
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("faster_rcnn")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    with processes.first_logs():
        logging.getLogger("faster_rcnn.data").warning("read by all")
    logging.getLogger("faster_rcnn.data").info("own")
    return lines
