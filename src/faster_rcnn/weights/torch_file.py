"""Files of ``torch.save``, read without running anything in them.

torch's own restricted reader makes tensors and plain values. Checkpoints hold more beside the weights, such as
``argparse.Namespace``, settings of other packages, or callbacks. A stand-in takes the place of each such object: it
accepts whatever the file does with it and does nothing.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from faster_rcnn.errors import ModelFileError

_UNKNOWN = re.compile(r"GLOBAL (\S+) was not an allowed global")
_NOT_A_DICT = re.compile(r"Can only SETITEMS? for dict.* but got <class '(\S+)'>")
_BLOCKED = re.compile(r"GLOBAL (\S+) whose module")


class StandIn(list[Any]):
    """Stands in for an object of another package; a list, because torch's reader appends to nothing else."""

    name = ""
    """The name of its class, with the module."""

    def __new__(cls, *_: object, **__: object) -> StandIn:
        """Without the arguments."""
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        """Ignored."""

    def append(self, item: object, /) -> None:
        """Ignored."""

    def extend(self, items: object, /) -> None:
        """Ignored."""


class _Dictionary:
    """Stands in for a class of dictionaries: torch's reader fills none but its own."""

    def __new__(cls, *_: object, **__: object) -> OrderedDict[object, object]:  # type: ignore[misc]
        return OrderedDict()


def read_torch_file(path: Path) -> object:
    """What ``torch.save`` wrote, on the CPU, with stand-ins for all that is neither a tensor nor a plain value.

    Raises ``ModelFileError`` for a damaged file, and for one that asks for what could run code.
    """
    try:
        return _read(path, {name: _stand_in(name) for name in _foreign_names(path)})
    except pickle.UnpicklingError as error:
        blocked = _BLOCKED.search(str(error))
        what = f"asks for '{blocked[1]}'" if blocked else "torch's restricted reader does not take"
        raise ModelFileError(
            f"{path} is a pickle that {what}, so it could run any code; nothing of it was run or loaded. Save "
            "model.state_dict() alone and import that",
            code="E123",
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise ModelFileError(f"{path} {_fault(str(error) or type(error).__name__)}", code="E123") from error


def _read(path: Path, stand_ins: Mapping[str, type]) -> object:
    """Read with these stand-ins by name, and again with one more for as long as the file asks for more."""
    try:
        # torch warns of kinds of files that are refused below, in lines that do not name the file.
        with warnings.catch_warnings(action="ignore"), safe_globals([(kind, name) for name, kind in stand_ins.items()]):
            content: object = torch.load(path, map_location="cpu", weights_only=True)
            return content
    except pickle.UnpicklingError as error:
        name, kind = _asked_for(str(error))
        is_new = name not in stand_ins or (kind is _Dictionary and stand_ins[name] is not kind)
        if not name or not is_new:
            raise
    return _read(path, {**stand_ins, name: kind})


def _asked_for(fault: str) -> tuple[str, type]:
    """Name and kind of the stand-in that reading lacked; no name where it failed for another reason."""
    if unknown := _UNKNOWN.search(fault):
        name = unknown[1] if "." in unknown[1] else f"builtins.{unknown[1]}"  # torch leaves this module out
        return name, _stand_in(name)
    no_dict = _NOT_A_DICT.search(fault)
    return (no_dict[1], _Dictionary) if no_dict else ("", StandIn)


def _foreign_names(path: Path) -> list[str]:
    """Names that a file of today's format asks for; those of an older one are met while it is read."""
    try:
        return get_unsafe_globals_in_checkpoint(path)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, AssertionError):
        return []


def _stand_in(name: str) -> type[StandIn]:
    module, _, own = name.rpartition(".")
    return type(own, (StandIn,), {"__module__": module, "name": name})


def _fault(reason: str) -> str:
    if "TorchScript" in reason:
        return "is a TorchScript archive, not a checkpoint; save model.state_dict() and import that"
    return f"is incomplete or damaged ({reason.splitlines()[0]}); was the copy interrupted?"
