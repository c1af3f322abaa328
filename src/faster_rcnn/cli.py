"""The command ``faster-rcnn``: runs one command line, turns every fault into one line and an exit code."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cyclopts import CycloptsError, UnusedCliTokensError

from faster_rcnn.commands import app
from faster_rcnn.errors import FasterRCNNError
from faster_rcnn.training.interruption import interrupting


class _Warnings(logging.Handler):
    """Shows what the library logs as the command shows its own warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line on stderr."""
        print(f"warning: {record.getMessage()}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns its exit code.

    0 done, 1 internal fault, 2 data and options, 3 diverged training, 4 an output that failed its own check,
    5 the machine, 130 and 143 interrupted (Ctrl-C, SIGTERM).
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    with interrupting():
        return _run(given)


def _run(given: list[str]) -> int:
    command = [each for each in given if each != "--debug"]
    try:
        with _log_shown():
            code: int | None = app(command, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # the last door: nobody else is left to tell
        if len(command) < len(given):
            traceback.print_exception(error)
        line, code = _explain(error)
        if line:
            print(f"faster-rcnn: {line}", file=sys.stderr)
    return code or 0


def _explain(error: BaseException) -> tuple[str | None, int]:
    """One line for the user (none where nobody reads any more), and the exit code."""
    text = " ".join(str(error).splitlines())
    match error:
        case FasterRCNNError():
            return f"error: {text}", error.exit_code
        case UnusedCliTokensError():
            return f"error: too many arguments: {' '.join(error.unused_tokens or ())}", 2
        case CycloptsError():
            return f"error: {text[:1].lower()}{text[1:]}", 2
        case KeyboardInterrupt():
            return "interrupted", 128 + getattr(error, "signal", signal.SIGINT)
        case BrokenPipeError():
            _discard_stdout()
            return None, 141  # as a shell reports a writer that SIGPIPE ended
        case MemoryError():
            return "error: out of memory", 5
    if type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in text:  # torch's, not imported here
        return f"error: out of memory: {text}", 5
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
        return f"error: {error.strerror}: {error.filename}" if error.filename else f"error: {error.strerror}", 5
    return f"internal fault: {type(error).__name__}: {text} (run again with --debug for the traceback)", 1


def _discard_stdout() -> None:
    """Let the interpreter's last flush go nowhere, instead of failing with a message of its own."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _log_shown() -> Iterator[None]:
    """The library's warnings are shown while a command runs."""
    logger, handler = logging.getLogger("faster_rcnn"), _Warnings(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
