"""Runs one command line of ``faster-rcnn``, and turns every fault into one line and an exit code."""

from __future__ import annotations

import io
import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from cyclopts import CycloptsError, UnusedCliTokensError

from faster_rcnn.cli.app import app
from faster_rcnn.cli.mistakes import explained
from faster_rcnn.cli.several import Place
from faster_rcnn.errors import FasterRCNNError, is_out_of_memory
from faster_rcnn.system.console import fail, show_traceback, shown
from faster_rcnn.system.launched import end_with_launcher, is_launched, leave_out_details_of_torch
from faster_rcnn.system.signals import STOPPING
from faster_rcnn.system.streams import discard_stdout, open_standard_streams, outlive_terminal, writing_results
from faster_rcnn.training.interruption import interrupting

QUIET = ("--quiet", "-q")
VERBOSE = ("--verbose", "-v")


class CommandLine(NamedTuple):
    """A command line: the command with its arguments, and the options that all commands take anywhere in the line."""

    command: list[str]
    debug: bool
    quiet: bool
    verbose: bool

    @staticmethod
    def of(given: Sequence[str]) -> CommandLine:
        """Separate the options of all commands, up to a ``--``, after which everything is a name."""
        end = given.index("--") if "--" in given else len(given)
        own, names = given[:end], given[end:]
        command = [each for each in own if each not in ("--debug", *QUIET, *VERBOSE)]
        match command:
            case ["help", *rest]:
                command = [*rest, "--help"]
            case ["version"]:
                command = ["--version"]
            case ["val", *rest]:  # its name in other tools
                command = ["evaluate", *rest]
            case ["predict", *_]:
                command, names = _with_standard_input(command), _with_standard_input(names)
        return CommandLine(
            [*command, *names],
            debug="--debug" in own,
            quiet=any(each in own for each in QUIET),
            verbose=any(each in own for each in VERBOSE),
        )

    @property
    def name(self) -> str:
        """The name of the command; an option such as ``--version`` where there is none."""
        asks = not self.command or "--help" in self.command or "-h" in self.command
        return "--help" if asks else self.command[0]


def _with_standard_input(tokens: Sequence[str]) -> list[str]:
    """Replace a dash that is no option's value by /dev/stdin, since cyclopts takes a lone dash for an option."""
    before = ("", *tokens)
    return [
        "/dev/stdin" if each == "-" and last != "--json" else each for last, each in zip(before, tokens, strict=False)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns its exit code.

    0 done, 1 internal fault, 2 data and options, 3 diverged training, 4 an output that failed its own check,
    5 a fault of the machine, 129, 130 and 143 interrupted (SIGHUP, Ctrl-C, SIGTERM).
    """
    open_standard_streams()
    outlive_terminal()
    _print_in_any_encoding()
    end_with_launcher()
    leave_out_details_of_torch()
    line = CommandLine.of(sys.argv[1:] if arguments is None else arguments)
    with interrupting():
        return _run(line)


def _run(line: CommandLine) -> int:
    place = Place.of_environment()
    try:
        shows = shown(quiet=line.quiet, verbose=line.verbose, debug=line.debug, silent=not place.is_first)
        with _pillow_silent(), shows, place.results():
            place.refuse(line.name)
            code: int | None = app(line.command, exit_on_error=False, print_error=False)
        with writing_results():
            sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as raised:  # noqa: BLE001  # nothing above this call could report it
        error = _first_error(raised)
        if line.debug:
            show_traceback(error)
        line_of_error, code = _explain(error)
        if line_of_error and (
            own := place.line_of(error, line_of_error, of_command_line=isinstance(error, CycloptsError))
        ):
            fail(own)
    place.let_first_end(code or 0)
    return code or 0


def _first_error(raised: BaseException) -> BaseException:
    """The error to report, whose report no signal ends.

    A launcher ends a process when another one has failed, maybe while this one cleans up after an error of its own.
    """
    if not is_launched():
        return raised
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    before = raised.__context__
    return before if isinstance(raised, KeyboardInterrupt) and isinstance(before, FasterRCNNError) else raised


def _explain(error: BaseException) -> tuple[str | None, int]:
    """One line for the user (``None`` where standard output was closed), and the exit code."""
    text = " ".join(str(error).splitlines())
    match error:
        case FasterRCNNError():  # a line end in it is part of a name, and is escaped
            return f"error: {error}", error.exit_code
        case UnusedCliTokensError():
            return f"error: too many arguments: {' '.join(error.unused_tokens or ())}", 2
        case CycloptsError():
            return f"error: {explained(error, app)}", 2
        case KeyboardInterrupt():
            return "interrupted", 128 + getattr(error, "signal", signal.SIGINT)
        case BrokenPipeError():
            discard_stdout()
            return None, 141  # as a shell reports a writer that SIGPIPE ended
    if is_out_of_memory(error):
        return "error: out of memory" + (f": {text}" if text else ""), 5
    if isinstance(error, OSError) and error.errno is not None:
        return f"error: {error.strerror}: {error.filename}" if error.filename else f"error: {error.strerror}", 5
    return f"internal fault: {type(error).__name__}: {text} (run again with --debug for the traceback)", 1


def _print_in_any_encoding() -> None:
    """Let standard streams escape letters that their encoding lacks, such as in names of classes and files."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _pillow_silent() -> Iterator[None]:
    """Suppress Pillow's log within the context: its lines name no file."""
    pillow, nothing = logging.getLogger("PIL"), logging.NullHandler()
    pillow.addHandler(nothing)
    try:
        yield
    finally:
        pillow.removeHandler(nothing)
