"""What launched processes do in tests: ``python launched_work.py WORK FOLDER [ARGUMENTS]``, mostly without torch.

``python launched_work.py launch COUNT WORK ...`` is a command that launches them.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from faster_rcnn.errors import FasterRCNNError
from faster_rcnn.system.launched import end_with_launcher
from faster_rcnn.system.signals import Signalled
from faster_rcnn.training.interruption import interrupting, stop_signals

SAVING = 1.5
"""Seconds that the first process takes to save, while the other one has ended: longer than one signal is."""


def rank() -> int:
    return int(os.environ["RANK"])


def end(folder: Path, *codes: str) -> int:
    """Each process ends with its code, in this order: a tenth of a second is between two looks of the launcher."""
    time.sleep(rank() * float(os.environ.get("BETWEEN", 0)))
    return int(codes[rank()])


def be_killed(folder: Path, number: str, of: str) -> int:
    """One process is killed, and the others notice."""
    if rank() == int(of):
        os.kill(os.getpid(), int(number))
    time.sleep(1)
    return 5


def environment(folder: Path) -> int:
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "ROLE_NAME")
    (folder / f"{rank()}.environment").write_text(" ".join(os.environ[name] for name in names))
    return 0


def errors(folder: Path) -> int:
    sys.stderr.write(f"one of {rank()}\ntwo of {rank()}\n")
    return 0


def step(folder: Path) -> int:
    """Steps until a signal; then the first process saves, while the other one has ended."""
    end_with_launcher()
    with interrupting(), stop_signals() as stop:
        (folder / f"{rank()}.ready").write_text(str(os.getpid()))
        while not stop():
            time.sleep(0.05)
        if rank() == 0:
            time.sleep(SAVING)
            (folder / "saved").touch()
        raise Signalled(stop())


def be_stuck(folder: Path) -> int:
    """The process ignores all signals but SIGKILL."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    (folder / f"{rank()}.ready").write_text(str(os.getpid()))
    time.sleep(600)
    return 0


def connect(folder: Path) -> int:
    import torch

    from faster_rcnn.system.distributed import joined

    with joined() as processes:
        total = processes.added(torch.tensor([processes.rank + 1])).item()
        (folder / f"{processes.rank}.sum").write_text(f"{total} of {processes.count}")
    return 0


def launch(count: str, *work: str) -> int:
    from faster_rcnn.system.launching import run_processes

    try:
        return run_processes(work, int(count), program=(__file__,))
    except FasterRCNNError as error:
        print(error, file=sys.stderr)
        return error.exit_code


WORK = {each.__name__: each for each in (be_killed, be_stuck, connect, end, environment, errors, step)}

if __name__ == "__main__":
    name, *rest = sys.argv[1:]
    try:
        sys.exit(launch(*rest) if name == "launch" else WORK[name](Path(rest[0]), *rest[1:]))
    except Signalled as error:
        sys.exit(128 + error.signal)
