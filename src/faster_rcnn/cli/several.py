"""One command line in several processes that a launcher such as ``torchrun`` started: what each of them shows."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faster_rcnn.cli.outputs import model_file
from faster_rcnn.errors import ElsewhereError, FasterRCNNError, LostProcessError, OptionError
from faster_rcnn.system.launched import is_reported_on

if TYPE_CHECKING:
    from faster_rcnn.inference.prepared import PreparedDetector
    from faster_rcnn.system.distributed import Processes

SHARED_COMMANDS = ("train", "evaluate", "predict")
"""Commands whose work is shared by several processes."""


SECONDS_OF_FIRST = 1.0
"""Time for the first process to show its last line, which takes milliseconds on an idle machine."""


@dataclass(frozen=True, slots=True)
class Place:
    """The place of this process among those of the launcher: ``Processes`` without importing torch."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    """Number of this process among those on its machine."""

    @staticmethod
    def of_environment() -> Place:
        """The place in the launcher's variables; that of a process alone where one is no number, which work refuses."""
        given = os.environ
        try:
            place = Place(int(given["RANK"]), int(given["WORLD_SIZE"]), int(given.get("LOCAL_RANK", "0")))
        except (KeyError, ValueError):
            return Place()
        return place if place.count > 1 else Place()

    @property
    def is_first(self) -> bool:
        """Whether this process shows messages and results."""
        return self.rank == 0

    @contextmanager
    def results(self) -> Iterator[None]:
        """Within it results that are printed appear in the first process alone."""
        if self.is_first:
            yield
            return
        with open(os.devnull, "w", encoding="utf-8") as nothing, redirect_stdout(nothing):
            yield

    def refuse(self, command: str) -> None:
        """Raise ``OptionError`` for a command that every process would do as a whole."""
        if self.count > 1 and command not in SHARED_COMMANDS and not command.startswith("-"):
            shared = f"{', '.join(SHARED_COMMANDS[:-1])} and {SHARED_COMMANDS[-1]}"
            error = OptionError(
                f"{self.count} processes were started, which would all do the same: they share the work of {shared} "
                f"alone; run it once, without torchrun: faster-rcnn {command}"
            )
            raise error if self.is_first else _reported_by_first(error)

    def let_first_end(self, code: int) -> None:
        """Wait a moment where this process ends with a fault and is not the first.

        torchrun ends all processes as soon as one of them has failed, and the first one is to show its last line.
        """
        if code and not self.is_first:
            time.sleep(SECONDS_OF_FIRST)

    def line_of(self, error: BaseException, line: str, *, of_command_line: bool = False) -> str | None:
        """The line that this process shows for an error; ``None`` where another process shows it.

        ``of_command_line``: whether the error is one that all processes of this machine have.
        """
        if is_reported_on() and isinstance(error, LostProcessError | KeyboardInterrupt):
            return None
        if self.is_first:
            return line
        elsewhere = isinstance(error, ElsewhereError | LostProcessError | KeyboardInterrupt)
        if elsewhere or (of_command_line and self.local_rank > 0):
            return None
        return f"process {self.rank} of {self.count}: {line}"


def _reported_by_first(error: FasterRCNNError) -> ElsewhereError:
    silent = ElsewhereError(str(error))
    silent.exit_code = error.exit_code
    return silent


def refuse_other_inputs(
    processes: Processes, model: str, detector: PreparedDetector, files: Sequence[Path | None], *options: object
) -> None:
    """Compare the detector, files and options of this process with those of the first; all processes call it together.

    Raises:
        OptionError: in the first process, and ``ElsewhereError`` in the others, where one process has others.
    """
    from faster_rcnn.system.agreement import refuse_differing
    from faster_rcnn.system.devices import precision_name

    if processes.are_several:
        digests = {
            "model": _digest_of_file(model_file(model)),
            "options": digest_of(options, *map(_digest_of_file, files)),
        }
        refuse_differing(processes, {**digests, "precision": precision_name(detector.precision)})


def _digest_of_file(path: Path | None) -> str:
    """A digest of a file's bytes; of nothing where there is no such file, as for a published model."""
    if path is None or not path.is_file():
        return digest_of()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of(*values: object) -> str:
    """A digest of values of Python, for comparison between processes."""
    return hashlib.sha256(repr(values).encode(errors="surrogateescape")).hexdigest()
