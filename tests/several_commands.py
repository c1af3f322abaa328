"""Command lines in several processes, for the tests of commands."""

from __future__ import annotations

import os
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from faster_rcnn.cli.main import main
from faster_rcnn.errors import MachineError
from faster_rcnn.inference.pictures import PictureFolder
from faster_rcnn.inference.result import Prediction
from faster_rcnn.system.agreement import refuse_differing
from faster_rcnn.system.distributed import Processes

Shown = tuple[int, str, str]
"""Exit code, standard output and standard error of a process."""


def commanded(processes: Processes, folders: list[Path], *arguments: str) -> Shown:
    """Run a command line; each process has a working folder of its own, or all have the only one."""
    os.chdir(folders[processes.rank % len(folders)])
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        code = main(arguments)
    return code, out.getvalue(), err.getvalue()


def commanded_with_full_disk(processes: Processes, folders: list[Path], *arguments: str) -> Shown:
    """The last process cannot write its pictures."""

    def save(self: PictureFolder, number: int, prediction: Prediction) -> Path:
        raise MachineError(f"picture {number} cannot be written: no space left")

    if processes.rank < processes.count - 1:
        return commanded(processes, folders, *arguments)
    with patch.object(PictureFolder, "save", save):
        return commanded(processes, folders, *arguments)


def agreed(processes: Processes, values: list[dict[str, str]]) -> None:
    refuse_differing(processes, values[processes.rank])
