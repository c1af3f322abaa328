"""Work in several processes that are connected as ``torchrun`` connects them, for tests.

The work is a function of a module that can be imported, not of a test file: the processes import it.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import socket
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch

from faster_rcnn.system.distributed import joined

SECONDS = 180.0
"""Time within which the processes must have ended; a test that hangs fails."""


LOADED = ["faster_rcnn.training.run", "faster_rcnn.inference.predictor", "timm"]
"""Modules that all processes share, since importing them takes seconds."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port: int = probe.getsockname()[1]
        return port


def in_processes(count: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What ``work(processes, *arguments)`` returns or raises in each of ``count`` processes, by rank."""
    context = multiprocessing.get_context("forkserver")  # a forked copy of the tests could not train
    context.set_forkserver_preload(LOADED)
    port, started = free_port(), []
    for rank in range(count):
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(there, rank, count, port, work, arguments), daemon=False)
        process.start()
        there.close()
        started.append((process, here))
    try:
        return [_answer(here) for _, here in started]
    finally:
        for process, _ in started:
            process.join(10)
            if process.is_alive():
                process.kill()
                process.join()


def _answer(connection: Connection) -> Any:
    if not connection.poll(SECONDS):
        raise TimeoutError("a process has not answered")
    try:
        return pickle.loads(connection.recv_bytes())
    except EOFError:
        return None  # it was killed


def _run(answer: Connection, rank: int, count: int, port: int, work: Callable[..., Any], arguments: Any) -> None:
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(1)
    torch.manual_seed(0)
    try:
        with joined() as processes:
            found = work(processes, *arguments)
    except BaseException as error:  # noqa: BLE001  # the test looks at it
        traceback.print_exc()
        found = error
    answer.send_bytes(pickle.dumps(found))  # torch would share the memory of tensors, which ends with the process
