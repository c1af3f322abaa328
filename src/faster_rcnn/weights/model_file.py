"""Model files: weights, configuration and classes in one file that loads with no other argument.

A model file is a safetensors file: float32 tensors under the names of ``FasterRCNN.state_dict()``, and one metadata
key ``faster_rcnn`` that holds JSON: ``checksum`` (CRC-32 of the whole file, with zeros in the place of these eight
digits), ``format`` (version), ``config`` (every setting), ``classes`` (names and ids by label; null for a label that is
never reported) and, in a file that ``faster-rcnn quantize`` wrote, ``ranges`` (lowest and highest feature by layer:
what 8 bits stand for). Keys are sorted and there is no time stamp, so equal models are equal files. The counters
``num_batches_tracked`` of batch norm are left out and start again from 0: nothing reads them, because every batch norm
here has a fixed momentum.

No pickle is read or written: it could run any code.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from math import isfinite
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from faster_rcnn.backbone.body import refuse_fixed_sizes
from faster_rcnn.building import build_model, build_without_values, give_memory, holds_weights_alone
from faster_rcnn.errors import FasterRCNNError, ModelFileError
from faster_rcnn.kernels.int8_layers import Range
from faster_rcnn.model import FasterRCNN
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap
from faster_rcnn.system.atomic import atomic_write
from faster_rcnn.weights.header import (
    METADATA_KEY,
    NO_CHECKSUM,
    Header,
    header_text,
    parse_header,
    place_of_checksum,
)
from faster_rcnn.weights.tensor_file import Stored, TensorFile, opened, size_of

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


def save_model(
    path: Path, model: FasterRCNN, config: Config, classes: ClassMap, ranges: Mapping[str, Range] | None = None
) -> None:
    """Write a model file at once and whole; raises ``MachineError`` where that fails, and keeps the old file."""
    content = packed_model(LoadedModel(model, config, classes, ranges))
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def packed_model(loaded: LoadedModel) -> bytes:
    """The content of a model file; the weights may be on any device."""
    text = header_text(loaded.config, loaded.classes, loaded.ranges)
    content = save(stored_tensors(loaded.model), metadata={METADATA_KEY: text})
    place = place_of_checksum(content)
    assert place is not None
    return content[:place] + f"{zlib.crc32(content):08x}".encode() + content[place + len(NO_CHECKSUM) :]


def load_model(path: Path) -> LoadedModel:
    """Read a model file; raises ``ModelFileError`` for anything else, and for one that is not complete."""
    with _tensors_of(path) as file:
        return _loaded(file)


def unpacked_model(content: bytes, name: str) -> LoadedModel:
    """The detector that ``packed_model`` packed; ``name`` is what messages call it. Raises like ``load_model``."""
    return _loaded(TensorFile(BytesIO(content), name, len(content)))


def read_model_config(path: Path) -> Config:
    """The settings in a model file; the tensors are read for the checksum alone."""
    with _tensors_of(path) as file:
        header = _header_of(file)
        _refuse_other_checksum(file, header, file.rest())
        return header.config


@contextmanager
def _tensors_of(path: Path) -> Iterator[TensorFile]:
    with opened(path) as stream:
        if _starts_pickle(stream.peek(9)[:9]):
            raise ModelFileError(
                f"{path} is a pickle, which could run any code; it is not loaded. See faster-rcnn import --help",
                code="E123",
            )
        yield TensorFile(stream, path, size_of(stream))


def _header_of(file: TensorFile) -> Header:
    if METADATA_KEY not in file.metadata:
        raise ModelFileError(
            f"{file.source} is a safetensors file without a faster-rcnn model in it (no '{METADATA_KEY}' in its "
            "metadata); for weights of other projects see faster-rcnn import --help",
            code="E123",
        )
    return parse_header(file.source, file.metadata[METADATA_KEY])


def _loaded(file: TensorFile) -> LoadedModel:
    """The detector in a file, whose tensors have the shapes that its settings need before any memory is taken."""
    header = _header_of(file)
    model = _model_for(file, header)
    tensors = stored_tensors(model)  # the model's own memory
    _refuse_other_checksum(file, header, (file.fill(tensors[name]) for name in file.tensors))
    refuse_unusable(file.source, tensors)
    own = _without_counters(model)
    # Tables of integers, and what is not contiguous, were not filled in place.
    beside = {name: each for name, each in tensors.items() if each.data_ptr() != own[name].data_ptr()}
    model.load_state_dict(beside, strict=False)
    backbone = header.config.backbone
    try:
        refuse_fixed_sizes(backbone.body, model.backbone.body, header.config.image.multiple_of)
    except FasterRCNNError as error:
        raise _unbuildable(file.source, error) from error
    return LoadedModel(model.eval(), header.config, header.classes, header.ranges)


def _model_for(file: TensorFile, header: Header) -> FasterRCNN:
    """A detector whose tensors are as many, as large and of the type as those of the file, with any values."""
    config, classes = header.config, header.classes
    try:
        model = build_without_values(config, len(classes), classes.holes)
    except FasterRCNNError as error:
        raise _unbuildable(file.source, error) from error
    refuse_misfits(file.source, file.tensors, _without_counters(model))
    for name, each in file.tensors.items():
        if each.kind != torch.float32:
            kind = str(each.kind).removeprefix("torch.")
            raise ModelFileError(
                f"{file.source}: tensor '{name}' holds {kind}, a model file holds float32; nothing was loaded. Save it "
                "as float32",
                code="E123",
            )
    if not holds_weights_alone(model):
        return new_model(file.source, config, classes)
    give_memory(model)
    return model


def _refuse_other_checksum(file: TensorFile, header: Header, pieces: Iterable[bytes | memoryview]) -> None:
    """Read all ``pieces``, which follow on the header, and raise ``ModelFileError`` where the checksum differs."""
    place = place_of_checksum(file.header)
    start = file.header
    if place is not None:
        start = start[:place] + NO_CHECKSUM.encode() + start[place + len(NO_CHECKSUM) :]
    found = zlib.crc32(start)
    for piece in pieces:
        found = zlib.crc32(piece, found)
    if header.checksum not in (None, f"{found:08x}"):
        raise ModelFileError(
            f"{file.source} is damaged, or another program changed it: its checksum is {found:08x}, and "
            f"{header.checksum!r:.20} was stored with it; nothing was loaded, copy it again",
            code="E123",
        )


def refuse_unusable(source: Path | str, tensors: Mapping[str, Tensor]) -> None:
    """Raise ``ModelFileError`` for float tensors that are not finite and for variances below 0 (E123)."""
    ends = {
        name: [float(end) for end in tensor.float().aminmax()] for name, tensor in tensors.items() if tensor.numel()
    }
    bad = [name for name, both in ends.items() if not all(map(isfinite, both))]
    if bad:
        raise ModelFileError(
            f"{source}: {some_of(bad, 'tensor')} not finite (NaN, or infinite in float32), as training that diverged "
            "leaves it; nothing was loaded. Take an earlier checkpoint",
            code="E123",
        )
    negative = [name for name, (low, _) in ends.items() if low < 0 and name.endswith("running_var")]
    if negative:
        raise ModelFileError(
            f"{source}: {some_of(negative, 'tensor')} below 0, and no variance is; nothing was loaded. Take an earlier "
            "checkpoint",
            code="E123",
        )


def _without_counters(model: FasterRCNN) -> dict[str, Tensor]:
    return {name: each for name, each in model.state_dict().items() if not name.endswith("num_batches_tracked")}


def stored_tensors(model: FasterRCNN) -> dict[str, Tensor]:
    """The tensors that a model file holds, by name: contiguous float32 on the CPU."""
    return {
        name: tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in _without_counters(model).items()
    }


def new_model(source: Path | str, config: Config, classes: ClassMap) -> FasterRCNN:
    """A detector for weights that are about to be loaded; leaves the global random numbers as they were."""
    try:
        with torch.random.fork_rng(devices=[]):
            return build_model(config, len(classes), classes.holes)
    except FasterRCNNError as error:
        raise _unbuildable(source, error) from error


def _unbuildable(source: Path | str, error: FasterRCNNError) -> ModelFileError:
    return ModelFileError(f"{source}: no detector can be built from its settings: {error}", code="E123")


def refuse_misfits(
    source: Path | str,
    found: Mapping[str, Tensor | Stored],
    wanted: Mapping[str, Tensor],
    hint: Callable[[], str] = str,
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
    """Whether ``torch.save`` wrote this file; raises ``ModelFileError`` where it cannot be read."""
    with opened(path) as stream:
        return _starts_pickle(stream.read(9))


def _starts_pickle(start: bytes) -> bool:
    # A safetensors file begins with eight bytes of any value, a length; its brace tells it from an old pickle.
    return start.startswith(PICKLE_STARTS) and not start.endswith(b"{")
