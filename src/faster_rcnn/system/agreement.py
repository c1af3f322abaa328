"""Several processes do one piece of work with the same inputs, of which each reads its own copy."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from faster_rcnn.errors import OptionError
from faster_rcnn.system.distributed import Processes

LONGEST_SHOWN = 20
"""Longest value in characters that a message shows; longer ones are digests."""


def refuse_differing(processes: Processes, own: Mapping[str, str]) -> None:
    """Compare the inputs of this process with those of the first one; all processes call it together.

    Args:
        processes: the processes of the work.
        own: the values, or digests of what is longer, by the name of the input in messages.

    Raises:
        OptionError: in the first process, and ``ElsewhereError`` in the others, where one process has other inputs.
    """
    if processes.are_several:
        processes.together(partial(_compare, own, processes.from_first(dict(own))))


def _compare(own: Mapping[str, str], first: Mapping[str, str]) -> None:
    if differing := [_difference(name, own[name], first[name]) for name in first if own[name] != first[name]]:
        raise OptionError(
            f"not the same as in the first process: {', '.join(differing)}; start all processes with the same options "
            "and copies of the same files"
        )


def _difference(name: str, own: str, first: str) -> str:
    return f"{name} ({own}, not {first})" if max(len(own), len(first)) <= LONGEST_SHOWN else name
