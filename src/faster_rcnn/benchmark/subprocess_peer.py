"""A peer in a process of its own.

Ours keeps freed memory (``memory``), and a peer in the same process would profit from it: that is not how it comes.
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
"""From decoded pixels (3, H, W) of 8 bits to boxes (N, 4)."""


def in_own_process(detect: Detect) -> Detect:
    """The same at work in another process, with as many threads; it ends when the result is dropped.

    ``detect`` has to be one that can be pickled. To hand over pixels and boxes takes a millisecond or two.

    Raises:
        MachineError: when called, if the other process has come to an end.
    """
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, detect, torch.get_num_threads()), daemon=True)
    process.start()
    there.close()

    def ask(pixels: Tensor) -> Tensor:
        try:
            here.send(pixels.numpy())
            boxes: Tensor = torch.from_numpy(here.recv())
        except (EOFError, OSError) as error:
            process.join()
            raise MachineError(
                f"the process of a peer came to an end by itself (exit code {process.exitcode}), for want of memory "
                "perhaps; leave that peer out of --compare"
            ) from error
        return boxes

    return ask


def _serve(there: Connection, detect: Detect, threads: int) -> None:
    """Answer pixels by boxes, until the other side has gone."""
    end_with_parent()
    torch.set_num_threads(threads)
    while True:
        try:
            pixels = there.recv()
        except EOFError:
            return
        there.send(detect(torch.from_numpy(pixels)).numpy())
