"""How the processes of one piece of work ended, and the exit code that the work has by that."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field

from faster_rcnn.errors import MachineError
from faster_rcnn.system.signals import STOPPING


@dataclass(slots=True)
class Ends:
    """Ends of processes, in their order."""

    count: int
    """Number of processes."""
    codes: dict[int, int] = field(default_factory=dict)
    """Exit code of each process that has ended, by its number; a signal is negative, as ``subprocess`` has it."""
    signal: int | None = None
    """The first signal that the processes were sent."""

    def note(self, ended: Mapping[int, int]) -> None:
        """Note processes that have ended; of those that ended meanwhile, one that was killed is the likely cause."""
        new = [(rank, code) for rank, code in ended.items() if rank not in self.codes]
        self.codes.update(sorted(new, key=lambda one: not _is_crash(one[1])))

    def failed(self) -> bool:
        """Whether a process ended with an error."""
        return any(self.codes.values())

    def exit_code(self) -> int:
        """The exit code of the first process that failed; 128 and the number of the signal where one ended them all.

        Raises:
            MachineError: the first one that failed was killed, or crashed.
        """
        failures = [(rank, code) for rank, code in self.codes.items() if code]
        errors = [each for each in failures if not _is_interruption(each[1])]
        if not failures:  # processes that have not ended were sent a signal, and are killed
            return 0 if len(self.codes) == self.count else 128 + (self.signal or signal.SIGKILL)
        rank, code = (errors or failures)[0]
        if _is_crash(code):
            raise MachineError(f"process {rank} of {self.count} {_crash(-code)}")
        return code if code > 0 else 128 - code


def _is_interruption(code: int) -> bool:
    """Whether a process ended by a signal that asks for it, or with the exit code for that."""
    return (code - 128 if code > 0 else -code) in STOPPING


def _is_crash(code: int) -> bool:
    return code < 0 and not _is_interruption(code)


def _crash(number: int) -> str:
    named = {each.value: each.name for each in signal.Signals}
    name = named.get(number, f"signal {number}")
    if number == signal.SIGKILL:
        return f"was killed ({name}); if memory is short, use fewer processes or a smaller --batch"
    return (
        f"crashed ({name}), a fault of a library or of memory; PYTHONFAULTHANDLER=1 in the environment shows its place"
    )
