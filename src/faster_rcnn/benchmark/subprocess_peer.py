"""Runs a peer in a process of its own.

Our process keeps freed memory (``system.memory``), from which a peer in the same process would profit, as it does not
in its normal use.
"""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection

import torch
from torch import Tensor

from faster_rcnn.data.workers import end_with_parent
from faster_rcnn.errors import MachineError

Detect = Callable[[Tensor], Tensor]
"""From decoded uint8 pixels (3, H, W) to boxes (N, 4)."""


def in_own_process(detect: Detect) -> Detect:
    """The same function, computed in another process with as many threads; it ends when the result is dropped.

    ``detect`` must be picklable. Sending pixels and boxes takes a millisecond or two.

    Raises:
        MachineError: at a call, if the other process has ended.
    """
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, detect, torch.get_num_threads()), daemon=True)
    process.start()
    there.close()

    def call(pixels: Tensor) -> Tensor:
        try:
            here.send(pixels.numpy())
            boxes: Tensor = torch.from_numpy(here.recv())
        except (EOFError, OSError) as error:
            process.join()
            raise MachineError(
                f"the process of a peer ended by itself (exit code {process.exitcode}), perhaps for lack of memory; "
                "leave that peer out of --compare"
            ) from error
        return boxes

    return call


def _serve(there: Connection, detect: Detect, threads: int) -> None:
    """Answer pixels with boxes, until the other side closes the pipe."""
    end_with_parent()
    torch.set_num_threads(threads)
    while True:
        try:
            pixels = there.recv()
        except EOFError:
            return
        there.send(detect(torch.from_numpy(pixels)).numpy())
