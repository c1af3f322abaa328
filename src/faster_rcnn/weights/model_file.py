"""Model files: weights, configuration and classes in one file that loads with no other argument.

A model file is a safetensors file: float32 tensors under the names of ``FasterRCNN.state_dict()``, and one metadata
key ``faster_rcnn`` that holds JSON: ``checksum`` (CRC-32 of the whole file, with zeros in the place of these eight
digits), ``format`` (version), ``config`` (every setting), ``classes`` (names and ids by label; null for a label that is
never reported), in a file that ``faster-rcnn quantize`` wrote, ``ranges`` (lowest and highest activation of each layer,
from which int8 takes its scales) and, where the detector was measured, ``thresholds`` (scores with their precision and
recall, by label, between which ``--conf auto`` chooses). Keys are sorted and there is no time stamp, so equal models
are equal files. The counters ``num_batches_tracked`` of batch norm are left out and start again from 0: nothing reads
them, because every batch norm here has a fixed momentum.

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
from faster_rcnn.settings.schema import Config, with_score_floor
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
from faster_rcnn.weights.thresholds import Thresholds

PICKLE_STARTS = (b"PK\x03\x04", b"\x80")
"""First bytes of files of ``torch.save``: a zip archive with a pickle in it, or, from an old torch, a bare pickle."""


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A detector in inference mode on the CPU, with its settings, classes and activation ranges."""

    model: FasterRCNN
    config: Config
    classes: ClassMap
    ranges: Mapping[str, Range] | None = None
    """Activation ranges by the names of layers, which computing in int8 needs; ``None`` where it was not quantized."""
    thresholds: Thresholds | None = None
    """Thresholds of scores by class; ``None`` where nothing was measured."""


def save_model(
    path: Path,
    model: FasterRCNN,
    config: Config,
    classes: ClassMap,
    thresholds: Thresholds | None = None,
) -> None:
    """Write the parts of a detector as ``write_loaded`` does."""
    write_loaded(path, LoadedModel(model, config, classes, thresholds=thresholds))


def write_loaded(path: Path, loaded: LoadedModel) -> None:
    """Write a model file atomically; raises ``MachineError`` where that fails, and keeps the old file."""
    content = packed_model(loaded)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def packed_model(loaded: LoadedModel) -> bytes:
    """Return the bytes of a model file; the weights may be on any device."""
    config = with_score_floor(loaded.config, loaded.config.rpn.min_objectness)  # 0 where auto has chosen none
    text = header_text(config, loaded.classes, loaded.ranges, loaded.thresholds)
    content = save(stored_tensors(loaded.model), metadata={METADATA_KEY: text})
    place = place_of_checksum(content)
    assert place is not None
    return content[:place] + f"{zlib.crc32(content):08x}".encode() + content[place + len(NO_CHECKSUM) :]


def load_model(path: Path) -> LoadedModel:
    """Read a model file; raises ``ModelFileError`` (E123) for any other file and for an incomplete or damaged one."""
    with _tensors_of(path) as file:
        return _loaded(file)


def unpacked_model(content: bytes, name: str) -> LoadedModel:
    """Build a detector from bytes of ``packed_model``; ``name`` stands in messages. Raises as ``load_model`` does."""
    return _loaded(TensorFile(BytesIO(content), name, len(content)))


def read_model_config(path: Path) -> Config:
    """Read the settings of a model file; its tensors are read for the checksum only."""
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
    """Load the detector of a file; memory is allocated only after the shapes of its tensors fit its settings."""
    header = _header_of(file)
    model = _model_for(file, header)
    tensors = stored_tensors(model)  # the model's own memory
    _refuse_other_checksum(file, header, (file.fill(tensors[name]) for name in file.tensors))
    refuse_unusable(file.source, tensors)
    own = _without_counters(model)
    # Integer tables and tensors that are not contiguous were copied by stored_tensors, so they are filled here.
    copied = {name: each for name, each in tensors.items() if each.data_ptr() != own[name].data_ptr()}
    model.load_state_dict(copied, strict=False)
    backbone = header.config.backbone
    try:
        refuse_fixed_sizes(backbone.body, model.backbone.body, header.config.image.multiple_of)
    except FasterRCNNError as error:
        raise _unbuildable(file.source, error) from error
    return LoadedModel(model.eval(), header.config, header.classes, header.ranges, header.thresholds)


def _model_for(file: TensorFile, header: Header) -> FasterRCNN:
    """Build a detector whose tensors have the names, shapes and type of those in the file, with undefined values."""
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
    """Read all ``pieces``, which follow the header, and raise ``ModelFileError`` (E123) where the checksum differs."""
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
    """Raise ``ModelFileError`` (E123) where a tensor is not finite or a variance is negative."""
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
    """The tensors of a model file by name: contiguous float32 on the CPU, without batch norm's counters."""
    return {
        name: tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in _without_counters(model).items()
    }


def new_model(source: Path | str, config: Config, classes: ClassMap) -> FasterRCNN:
    """Build a detector for weights that are loaded next; the global random number generator keeps its state."""
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
    """Raise ``ModelFileError`` (E123) unless both have the same names and shapes; ``hint`` ends the message."""
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
    """Return a count and the first three names, with the verb that follows.

    >>> some_of(["a", "b", "c", "d"], "tensor")
    "4 tensors ('a', 'b', 'c' ...) are"
    """
    shown = ", ".join(f"'{name}'" for name in names[:3])
    if len(names) == 1:
        return f"1 {what} ({shown}) is"
    return f"{len(names)} {what}s ({shown}{' ...' if len(names) > 3 else ''}) are"


def is_pickle(path: Path) -> bool:
    """Whether a file is a pickle or an archive of ``torch.save``; raises ``ModelFileError`` where it is unreadable."""
    with opened(path) as stream:
        return _starts_pickle(stream.read(9))


def _starts_pickle(start: bytes) -> bool:
    # A safetensors file begins with eight bytes of any value, a length; the brace after them excludes an old pickle.
    return start.startswith(PICKLE_STARTS) and not start.endswith(b"{")
