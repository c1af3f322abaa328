"""Search for a detector's tensors in checkpoints of other projects, which are read without running code from them.

Training scripts store the weights under keys of their own, beside the optimizer's state, a second set of averaged
weights or anything else, and wrappers put prefixes before all names. Detectors of every layout have a ``backbone``: the
mapping with its tensors holds the detector, and the part of their names before that word is the prefix.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from faster_rcnn.errors import ModelFileError
from faster_rcnn.weights.foreign.unpickling import PickledArray, is_plain_pickle, read_plain_pickle
from faster_rcnn.weights.model_file import is_pickle, some_of
from faster_rcnn.weights.pickle_program import StandIn
from faster_rcnn.weights.tensor_file import is_pointer, opened, read_tensors
from faster_rcnn.weights.torch_file import read_torch_file

WRAPPERS = ("model", "state_dict", "model_state_dict")
"""Keys that are searched first for a state dict without a backbone (torchvision uses ``model``)."""

AVERAGED = re.compile(r"(?:^|[._])(?:ema|swa|averaged?|teacher|shadow)(?:$|[._])", re.IGNORECASE)
"""Names of keys with a second, averaged set of weights, which is imported only where ``--key`` names it."""

COUNTERS = ("n_averaged",)
"""Tensors of torch's ``AveragedModel`` that are no weights."""

MAX_DEPTH = 4
"""Maximum depth of nested mappings that are searched."""

_WRAPPED = re.compile(r"(?<=\.)(?:_orig_mod|module|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""Insertions of torch in the names of a part that was compiled, distributed or checkpointed separately."""

MAX_SETS = 100
"""Maximum number of sets of weights in a file."""

_BACKBONE = re.compile(r"(?:^|\.)(?=backbone\.)")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tensors of a detector by their names without a prefix, and notes about their place in the file."""

    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()
    """What was removed from names, chosen and left out, one line each."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A mapping whose tensors may be a detector's."""

    key: str
    """Keys that lead to the mapping, and the prefix, separated by points."""
    keys: str
    """Keys that lead to the mapping, separated by points."""
    prefix: str
    """Prefix of the names of the detector's tensors, with its last point."""
    content: Mapping[str, object]


def read_checkpoint(path: Path, key: str | None = None) -> Checkpoint:
    """Read the detector in a safetensors file, a file of ``torch.save`` or a pickle of numpy arrays.

    The format is recognised by the content of the file, not by its name. ``key`` chooses between several sets of
    weights, such as ``model_ema``. Raises ``ModelFileError`` (E123) for a file of another format or without such a set.
    """
    if not os.path.exists(path):
        raise ModelFileError(f"there is no file {path} to import", code="E123")
    content = _read(path)
    places = sorted(_places(content), key=lambda place: AVERAGED.search(place.key) is not None)
    if key is not None:
        chosen = [place for place in places if f"{place.key}.".startswith(f"{key}.")]
        if not chosen:
            held = ", ".join(f"'{place.key}'" for place in places) or "none"
            raise ModelFileError(f"{path} holds no weights under --key {key}; it has {held}", code="E123")
        places = [*chosen, *(place for place in places if place not in chosen)]
    if not places:
        raise ModelFileError(f"{path} {_instead(content)}", code="E123")
    if len(places) > MAX_SETS:
        raise ModelFileError(
            f"{path} holds {len(places)} sets of weights, more than {MAX_SETS}; save model.state_dict() alone and "
            "import that",
            code="E123",
        )
    return _checkpoint(places[0], places[1:])


def _checkpoint(place: _Place, others: list[_Place]) -> Checkpoint:
    prefixes = [place.prefix, *(other.prefix for other in others if other.content is place.content)]
    tensors, foreign, no_tensors = {}, [], []
    for name, value in place.content.items():
        owner = max((each for each in prefixes if name.startswith(each)), key=len, default=None)
        if name.rpartition(".")[2] in COUNTERS or owner not in (place.prefix, None):
            continue
        if not isinstance(value, Tensor | PickledArray):
            no_tensors.append(name)
        elif owner is None:
            foreign.append(name)
        else:
            tensors[name.removeprefix(owner)] = value.tensor if isinstance(value, PickledArray) else value
    notes = [f"weights taken from '{place.keys}'"] if place.keys else []
    if place.prefix:
        notes.append(f"the prefix '{place.prefix}' of all names is taken off")
    if others:
        held = " and ".join(f"'{other.key}'" for other in others)
        choice = shlex.quote(others[0].key)
        notes.append(f"the file holds weights under {held}, too, which are left out; --key {choice} takes them")
    if foreign:
        notes.append(f"{some_of(foreign, 'tensor')} outside of '{place.prefix}' and left out")
    if no_tensors:
        notes.append(f"{some_of(no_tensors, 'value')} no tensor and left out")
    plain = _without_wrappers(tensors)
    if wrapped := [name for name in tensors if name not in plain]:
        inside = "' and '".join(sorted({each for name in wrapped for each in _WRAPPED.findall(name)}))
        notes.append(f"{some_of(wrapped, 'tensor')} taken without '{inside}' in the name")
    return Checkpoint(plain, tuple(notes))


def _without_wrappers(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Remove torch's insertions from the names; the names stay as they are where two of them would become equal."""
    plain = {_WRAPPED.sub("", name): tensor for name, tensor in tensors.items()}
    return plain if len(plain) == len(tensors) else tensors


def _places(content: object) -> Iterator[_Place]:
    """Find the mappings with a backbone; if there is none, the first state dict, whose names a layout then refuses."""
    found = list(_mappings(content, ""))
    places = [
        _Place(".".join(part for part in (keys, prefix.rstrip(".")) if part), keys, prefix, mapping)
        for keys, mapping in found
        for prefix in _prefixes(mapping)
    ]
    if places:
        yield from places
        return
    plain = [(keys, mapping) for keys, mapping in found if all(_is_tensor(each) for each in mapping.values())]
    yield from (
        _Place(keys, keys, "", mapping) for keys, mapping in sorted(plain, key=lambda each: each[0] not in WRAPPERS)[:1]
    )


def _mappings(
    content: object, keys: str, depth: int = 0, visited: set[int] | None = None
) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Find the mappings that hold tensors, with the keys that lead there; each mapping is returned once."""
    visited = set() if visited is None else visited
    if not isinstance(content, Mapping) or depth > MAX_DEPTH or id(content) in visited:
        return
    visited.add(id(content))
    named = {name: each for name, each in content.items() if isinstance(name, str)}
    if any(_is_tensor(each) for each in named.values()):
        yield keys, named
    for name, each in named.items():
        yield from _mappings(each, f"{keys}.{name}" if keys else name, depth + 1, visited)


def _prefixes(mapping: Mapping[str, object]) -> list[str]:
    """The different prefixes before ``backbone`` in the names of tensors, in their order."""
    found = [_BACKBONE.search(name) for name, each in mapping.items() if _is_tensor(each)]
    return list(dict.fromkeys(match.string[: match.end()] for match in found if match))


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor | PickledArray)


def _instead(content: object) -> str:
    """The end of a message about a file without a state dict: its contents and a remedy."""
    remedy = "save model.state_dict() and import that"
    if isinstance(content, StandIn) and not content:
        return f"is a pickled object of '{content.name}', which is not unpickled, for that runs its code; {remedy}"
    if not isinstance(content, Mapping):
        return f"holds no state dict (tensors by name) but a {type(content).__name__}, and is not imported; {remedy}"
    keys = [f"'{name!s:.80}' ({_kind(each)})" for name, each in list(content.items())[:5]]
    more = ", ..." if len(content) > 5 else ""
    held = f"its keys are {', '.join(keys)}{more}" if keys else "it is empty"
    return f"holds no state dict (tensors by name) and is not imported: {held}; {remedy}"


def _kind(value: object) -> str:
    return f"an object of {value.name}" if isinstance(value, StandIn) else type(value).__name__


def _read(path: Path) -> Any:
    if not is_pickle(path):
        with opened(path) as stream:
            start = stream.read(9)
        if start.endswith(b"{") or is_pointer(start):
            return read_tensors(path)[1]
        raise ModelFileError(
            f"{path} is neither a safetensors file nor one that torch.save or pickle wrote (it begins with {start!r}); "
            "nothing was imported. Copy it again, in case it is damaged",
            code="E123",
        )
    return read_plain_pickle(path) if is_plain_pickle(path) else read_torch_file(path)
