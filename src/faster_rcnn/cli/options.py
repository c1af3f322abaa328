"""Types of options that several commands share, and the first line that each command prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter, Token

from faster_rcnn._version import __version__
from faster_rcnn.choices import Precision
from faster_rcnn.settings.option_types import Integer, IntegerOrAuto, PixelsOfSide, Settings, Switch
from faster_rcnn.system.console import say
from faster_rcnn.system.launched import is_reported_on

__all__ = [
    "Integer",
    "IntegerOrAuto",
    "JsonOut",
    "PixelsOfSide",
    "Precision",
    "Settings",
    "Switch",
    "announce",
    "announce_work",
]


def _refuse_option(kind: object, value: str | None) -> None:
    """Refuse an option as the value of --json: in ``--json --out x`` the value was forgotten."""
    if value is not None and value.startswith("-") and value != "-":
        raise ValueError("give a file name, or - for standard output")


def _json_out(kind: object, tokens: Sequence[Token]) -> str:
    """Convert every name of standard output to ``-``, so that nothing else is printed there."""
    text = tokens[0].value
    return "-" if text in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1") else text


JsonOut = Annotated[str | None, Parameter(allow_leading_hyphen=True, converter=_json_out, validator=_refuse_option)]


def announce(task: str) -> None:
    """Print the first line of a command, before torch is imported; below ``train --processes`` it was printed."""
    if not is_reported_on():
        say(f"faster-rcnn {__version__}: {task}")


def announce_work(task: str) -> None:
    """Print the first line of a command that computes, then load torch with as many CPU threads as it may use."""
    announce(task)
    from faster_rcnn.system.threads import use_default_threads

    use_default_threads()
