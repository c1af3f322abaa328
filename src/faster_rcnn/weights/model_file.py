"""Model files: weights, configuration and classes in one file that loads with no other argument.

A model file is a safetensors file: float32 tensors under the names of ``FasterRCNN.state_dict()``, and one metadata
key ``faster_rcnn`` that holds JSON: ``format`` (version), ``config`` (every setting), ``classes`` (names and ids by
label; null for a label that is never reported) and, in a file that ``faster-rcnn quantize`` wrote, ``ranges`` (lowest
and highest feature by layer: what 8 bits stand for). Keys are sorted and nothing tells the time, so equal models are
equal files. The counters ``num_batches_tracked`` of batch norm are left out and start again from 0: nothing reads
them, because every batch norm here has a fixed momentum.

No pickle is read or written: it could run any code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from faster_rcnn.atomic import atomic_write
from faster_rcnn.building import build_model
from faster_rcnn.config import Config
from faster_rcnn.errors import FasterRCNNError, ModelFileError
from faster_rcnn.model import FasterRCNN
from faster_rcnn.ops.eight_bit import Range
from faster_rcnn.structures import ClassMap

METADATA_KEY = "faster_rcnn"
FORMAT = 1
"""Version of the layout described above; higher ones are refused."""

MODELS_OF_RUN = ("best.safetensors", "last.safetensors")
"""What a run folder is searched for, in this order."""

MOST_RUNS = 5
"""Named in a message."""

PICKLE_STARTS = (b"PK\x03\x04", b"\x80")
"""First bytes of what torch.save writes: a zip archive with a pickle in it, or, by an old torch, a bare pickle."""


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A detector in inference mode on the CPU, with all that is known about it."""

    model: FasterRCNN
    config: Config
    classes: ClassMap
    ranges: Mapping[str, Range] | None = None
    """Of the features of its layers, by their name: what it takes to work in 8 bits."""


@dataclass(frozen=True, slots=True)
class _Header:
    config: Config
    classes: ClassMap
    ranges: Mapping[str, Range] | None


def save_model(
    path: Path, model: FasterRCNN, config: Config, classes: ClassMap, ranges: Mapping[str, Range] | None = None
) -> None:
    """Write a model file at once and whole; raises ``MachineError`` where that fails, and keeps the old file."""
    content = packed_model(LoadedModel(model, config, classes, ranges))
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def packed_model(loaded: LoadedModel) -> bytes:
    """The content of a model file; the weights may be on any device."""
    config, classes, ranges = loaded.config, loaded.classes, loaded.ranges
    header: dict[str, Any] = {
        "format": FORMAT,
        "config": config.model_dump(mode="json"),
        "classes": {"names": list(classes.names), "ids": list(classes.ids)},
    }
    if ranges is not None:
        header["ranges"] = {name: [each.low, each.high] for name, each in ranges.items()}
    metadata = {METADATA_KEY: json.dumps(header, sort_keys=True, separators=(",", ":"))}
    return save(stored_tensors(loaded.model), metadata=metadata)


def load_model(path: Path) -> LoadedModel:
    """Read a model file; raises ``ModelFileError`` for anything else, and for one that is not complete."""
    return _built(path, *_read(path, with_tensors=True))


def unpacked_model(content: bytes, name: str) -> LoadedModel:
    """The detector that ``packed_model`` packed; ``name`` is what messages call it. Raises like ``load_model``."""
    length = int.from_bytes(content[:8], "little")  # of the JSON that a safetensors file begins with
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    return _built(Path(name), _parse_header(Path(name), metadata[METADATA_KEY]), load(content))


def _built(path: Path, header: _Header, tensors: dict[str, Tensor]) -> LoadedModel:
    model = new_model(path, header.config, header.classes)
    wanted = stored_tensors(model)
    refuse_misfits(path, tensors, wanted)
    model.load_state_dict(tensors, strict=False)  # strict but for the counters that files leave out
    return LoadedModel(model.eval(), header.config, header.classes, header.ranges)


def read_model_config(path: Path) -> Config:
    """The settings in a model file, without its weights."""
    return _read(path, with_tensors=False)[0].config


def find_model_file(text: str) -> Path:
    """The model file that a user means by a file or by a run folder (its best model, else its last)."""
    path = Path(text)
    if path.is_file():
        return path
    if not path.is_dir():
        raise ModelFileError(f"there is no model file or run folder '{text}'{_nearby(path)}", code="E123")
    for name in MODELS_OF_RUN:
        if (path / name).is_file():
            return path / name
    raise ModelFileError(
        f"{path} holds neither {' nor '.join(MODELS_OF_RUN)}, so it is not a run folder with a model{_runs_in(path)}",
        code="E123",
    )


def _runs_in(folder: Path) -> str:
    """Run folders that a folder holds, newest first, for a user who named the folder of all."""
    models = [each for name in MODELS_OF_RUN for each in folder.glob(f"*/{name}")]
    runs = dict.fromkeys(each.parent for each in sorted(models, key=lambda each: -each.stat().st_mtime))
    shown = ", ".join(str(run) for run in list(runs)[:MOST_RUNS])
    more = f" and {len(runs) - MOST_RUNS} more" if len(runs) > MOST_RUNS else ""
    return f"; the runs in it are {shown}{more}" if runs else ""


def stored_tensors(model: FasterRCNN) -> dict[str, Tensor]:
    """The tensors that a model file holds, by name: contiguous float32 on the CPU."""
    return {
        name: tensor.detach().to("cpu", torch.float32).contiguous()
        for name, tensor in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def new_model(source: Path | str, config: Config, classes: ClassMap) -> FasterRCNN:
    """A detector for weights that are about to be loaded; leaves the global random numbers as they were."""
    try:
        with torch.random.fork_rng(devices=[]):
            return build_model(config, len(classes), classes.holes)
    except FasterRCNNError as error:
        raise ModelFileError(f"{source}: no detector can be built from its settings: {error}", code="E123") from error


def refuse_misfits(
    source: Path | str, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], hint: Callable[[], str] = str
) -> None:
    """Raise ``ModelFileError`` unless both hold the same names with the same shapes; ``hint`` ends its message."""
    missing = [name for name in wanted if name not in found]
    extra = [name for name in found if name not in wanted]
    if missing:
        raise ModelFileError(f"{source}: {some_of(missing, 'tensor')} missing; nothing was loaded{hint()}", code="E123")
    if extra:
        raise ModelFileError(f"{source}: {some_of(extra, 'tensor')} unknown; nothing was loaded{hint()}", code="E123")
    for name, tensor in wanted.items():
        if found[name].shape != tensor.shape:
            raise ModelFileError(
                f"{source}: tensor '{name}' has the shape {tuple(found[name].shape)}, the detector needs "
                f"{tuple(tensor.shape)}; nothing was loaded{hint()}",
                code="E123",
            )


def some_of(names: Sequence[str], what: str) -> str:
    """A count and the first few names, with the verb that follows.

    >>> some_of(["a", "b", "c", "d"], "tensor")
    "4 tensors ('a', 'b', 'c' ...) are"
    """
    shown = ", ".join(f"'{name}'" for name in names[:3])
    if len(names) == 1:
        return f"1 {what} ({shown}) is"
    return f"{len(names)} {what}s ({shown}{' ...' if len(names) > 3 else ''}) are"


def is_pickle(path: Path) -> bool:
    """Whether ``torch.save`` wrote this file."""
    with path.open("rb") as file:
        start = file.read(9)
    # A safetensors file begins with eight bytes of any value, a length; its brace tells it from an old pickle.
    return start.startswith(PICKLE_STARTS) and not start.endswith(b"{")


def read_safetensors(path: Path, *, with_tensors: bool = True) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of any safetensors file; raises ``ModelFileError`` where it is none or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()} if with_tensors else {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        damaged = "not fully covered" in str(error) or "IncompleteBuffer" in str(error)
        fault = (
            "is incomplete or damaged; was the copy interrupted?" if damaged else f"is not a safetensors file ({error})"
        )
        raise ModelFileError(f"{path} {fault}", code="E123") from error
    return metadata, tensors


def _read(path: Path, *, with_tensors: bool) -> tuple[_Header, dict[str, Tensor]]:
    if is_pickle(path):
        raise ModelFileError(
            f"{path} is a pickle, which could run any code; it is not loaded. See faster-rcnn import --help",
            code="E123",
        )
    metadata, tensors = read_safetensors(path, with_tensors=with_tensors)
    if METADATA_KEY not in metadata:
        raise ModelFileError(
            f"{path} is a safetensors file without a faster-rcnn model in it (no '{METADATA_KEY}' in its metadata); "
            "for weights of other projects see faster-rcnn import --help",
            code="E123",
        )
    return _parse_header(path, metadata[METADATA_KEY]), tensors


def _parse_header(path: Path, text: str) -> _Header:
    try:
        header: dict[str, Any] = json.loads(text)
        version = header["format"]
        if version <= FORMAT:
            classes = ClassMap(tuple(header["classes"]["names"]), tuple(header["classes"]["ids"]))
            ranges = {name: Range.around_0(*ends) for name, ends in header.get("ranges", {}).items()}
            return _Header(Config.model_validate(header["config"]), classes, ranges or None)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ModelFileError(f"{path}: its setting {key} is not usable: {first['msg']}", code="E123") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelFileError(f"{path}: its metadata is damaged: {error!r}", code="E123") from error
    raise ModelFileError(
        f"{path} has format {version}, written by a newer faster-rcnn; this one reads up to {FORMAT}: "
        "pip install --upgrade faster-rcnn",
        code="E123",
    )


def _nearby(path: Path) -> str:
    """A hint at a file or folder of a similar name."""
    if not path.parent.is_dir():
        return f" (the folder {path.parent} does not exist either)"
    close = get_close_matches(path.name, [each.name for each in path.parent.iterdir()], n=1)
    return f"; did you mean '{path.parent / close[0]}'?" if close else ""
