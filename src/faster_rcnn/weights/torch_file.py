"""Files of ``torch.save``, read without running anything in them.

Two layouts: a zip archive with a pickle and one uncompressed record for each storage, and the older one of five pickles
with the storages behind them. ``torch.load`` is not used: it calls ``bytearray`` with any number, unpacks compressed
records of any size, and trusts the sizes that a pickle claims. Checkpoints hold more beside the weights, such as
``argparse.Namespace``, settings of other packages, or callbacks: a stand-in that does nothing takes the place of each.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from faster_rcnn.errors import ModelFileError
from faster_rcnn.weights.pickle_program import Closed, Function, Refused, StandIn, no_object, run_pickle
from faster_rcnn.weights.tensor_file import opened, size_of

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
"""What the first two pickles of the older layout hold."""

NUMBERS = "data"
"""The folder of an archive that holds the storages, and the name of the pickle."""

RUNS_CODE = ("os", "posix", "nt", "sys", "subprocess")
"""Modules that no checkpoint names with good intent; a file that does is refused whole."""

STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "ComplexDoubleStorage": torch.complex128,
    "ComplexFloatStorage": torch.complex64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "QInt8Storage": torch.int8,
    "QUInt8Storage": torch.uint8,
    "QInt32Storage": torch.int32,
    "UntypedStorage": torch.uint8,
}
"""Types of numbers by the classes of torch that hold them; integers stand for quantized numbers."""


def read_torch_file(path: Path) -> object:
    """What ``torch.save`` wrote, on the CPU, with stand-ins for all that is neither a tensor nor a plain value.

    Raises ``ModelFileError`` for a damaged file, and for one that asks for what could run code.
    """
    try:
        with opened(path) as stream:
            return _read_archive(stream, path) if stream.peek(2)[:2] == b"PK" else _read_older(stream)
    except ModelFileError:
        raise
    except Refused as error:
        raise ModelFileError(
            f"{path} is a pickle that {error}; nothing of it was run or loaded. Save model.state_dict() alone and "
            "import that",
            code="E123",
        ) from error
    except Exception as error:  # damaged bytes are a program of nonsense, which can raise anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelFileError(
            f"{path} is incomplete or damaged ({reason:.200}); was the copy interrupted?", code="E123"
        ) from error


class _Kind(Closed):
    """Stands in for a class of storages."""

    __slots__ = ("kind",)

    def __init__(self, kind: torch.dtype) -> None:
        self.kind = kind


class _Storage(Closed):
    """The numbers of one or more tensors."""

    __slots__ = ("content", "kind")

    def __init__(self, content: Tensor, kind: torch.dtype) -> None:
        """``content`` is the bytes."""
        self.content, self.kind = content, kind

    def tensor(self, kind: torch.dtype, offset: int, size: Sequence[int], stride: Sequence[int]) -> Tensor:
        """The numbers from ``offset`` on in these sizes and strides; refuses those that reach beyond the storage."""
        held = len(self.content) // kind.itemsize
        whole = all(isinstance(each, int) and each >= 0 for each in (offset, *size, *stride))
        if not whole or len(size) != len(stride):
            raise ValueError("a tensor has no usable shape")
        count = math.prod(size)
        last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
        if count > held or (count and last >= held):
            raise ValueError("a tensor has more numbers than its record")
        if not count:
            return torch.empty(tuple(size), dtype=kind)
        return self.content.view(kind).as_strided(tuple(size), tuple(stride), offset)


def _read_archive(stream: BufferedReader, path: Path) -> object:
    with zipfile.ZipFile(stream) as archive:
        names = {record.filename.partition("/")[2]: record for record in archive.infolist()}
        _refuse_other_archives(path, names)
        if sum(record.file_size for record in archive.infolist()) > size_of(stream):
            raise ValueError("its records are longer than the file")
        if "byteorder" in names and archive.read(names["byteorder"]) != b"little":
            raise ValueError("it was written on a machine of another byte order")
        contents: dict[str, Tensor] = {}

        def storage(identifier: object) -> _Storage:
            kind, key, count = _identified(identifier)
            if key not in contents:
                contents[key] = _bytes_of(archive, names[f"{NUMBERS}/{key}"])
            if len(contents[key]) != count * kind.itemsize:
                raise ValueError(f"record '{key:.80}' is not as long as the numbers in it")
            return _Storage(contents[key], kind)

        program = archive.read(names[f"{NUMBERS}.pkl"])
        return run_pickle(BytesIO(program), len(program), _find, storage)


def _refuse_other_archives(path: Path, records: Mapping[str, zipfile.ZipInfo]) -> None:
    """Raise ``ModelFileError`` for archives that torch wrote for another purpose or did not write."""
    if "constants.pkl" in records:
        raise ModelFileError(
            f"{path} is a TorchScript archive, not a checkpoint; save model.state_dict() and import that", code="E123"
        )
    packed = [name for name, record in records.items() if record.compress_type != zipfile.ZIP_STORED]
    if packed:
        raise ModelFileError(
            f"{path} holds the record '{packed[0]:.80}' compressed, as torch.save never writes it and a few bytes can "
            "fill any memory; nothing was loaded. Save it again with torch.save",
            code="E123",
        )


def _read_older(stream: BufferedReader) -> object:
    size = size_of(stream)
    magic, protocol, system = (run_pickle(stream, size, _find, no_object) for _ in range(3))
    if (magic, protocol) != (MAGIC, PROTOCOL) or not isinstance(system, dict) or not system.get("little_endian"):
        raise ValueError("it does not begin as torch.save begins files")
    contents: dict[str, Tensor] = {}

    def storage(identifier: object) -> object:
        if isinstance(identifier, tuple) and identifier[0] == "module":  # a class with its source code
            return identifier[1]
        kind, key, count = _identified(identifier)
        length = count * kind.itemsize
        if key not in contents and length + sum(map(len, contents.values())) > size:
            raise ValueError("its tensors are longer than the file")
        content = contents.setdefault(key, torch.zeros(length, dtype=torch.uint8))
        if len(content) != length:
            raise ValueError(f"storage '{key:.80}' has two lengths")
        return _Storage(content, kind)

    content = run_pickle(stream, size, _find, storage)
    keys = run_pickle(stream, size, _find, no_object)
    if not isinstance(keys, list) or set(keys) != set(contents):
        raise ValueError("its storages are not those of its tensors")
    for key in keys:
        stream.read(8)  # how many numbers follow
        _fill(contents[key], stream)
    return content


def _bytes_of(archive: zipfile.ZipFile, record: zipfile.ZipInfo) -> Tensor:
    content = torch.empty(record.file_size, dtype=torch.uint8)
    with archive.open(record) as stream:
        _fill(content, stream)
    return content


def _fill(content: Tensor, stream: Any) -> None:
    if stream.readinto(content.numpy().data) != len(content):
        raise EOFError("a record is cut")


def _identified(identifier: object) -> tuple[torch.dtype, str, int]:
    """Type, key and number of numbers in the identifier of a storage."""
    match identifier:
        case ("storage", _Kind() as kind, str(key), _, int(count), *view) if count >= 0 and view in ([], [None]):
            return kind.kind, key, count
    raise ValueError("it asks for an object that is no storage")


def _tensor(storage: object, offset: int, size: Any, stride: Any, *_: object) -> Tensor:
    assert isinstance(storage, _Storage)
    return storage.tensor(storage.kind, offset, size, stride)


def _tensor_of_kind(  # torch's own order of arguments
    storage: object, offset: int, size: Any, stride: Any, _grad: object, _hooks: object, kind: torch.dtype, *_: object
) -> Tensor:
    assert isinstance(storage, _Storage)
    return storage.tensor(kind, offset, size, stride)


def _sparse(_layout: object, data: Any) -> Tensor:
    """A tensor of its shape without values: it is named, and not imported."""
    _indices, values, size, *_ = data
    return torch.empty(tuple(size), dtype=values.dtype, device="meta")


def _without_values(kind: torch.dtype, size: Any, *_: object) -> Tensor:
    return torch.empty(tuple(size), dtype=kind, device="meta")


def _of_type(function: object, _type: object, arguments: tuple[object, ...], *_: object) -> object:
    """A tensor with attributes of its own, or of a subclass."""
    assert isinstance(function, Function)
    return function.call(*arguments)


def _first(value: object, *_: object) -> object:
    return value


def _dictionary(items: Sequence[Sequence[object]] = (), *_: object) -> dict[object, object]:
    return {key: value for key, value in items if isinstance(key, str | int)}


_TABLE: dict[tuple[str, str], Callable[..., object]] = {
    ("collections", "OrderedDict"): _dictionary,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor_of_kind,
    ("torch._utils", "_rebuild_qtensor"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _first,
    ("torch._utils", "_rebuild_parameter_with_state"): _first,
    ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"): _first,
    ("torch._utils", "_rebuild_sparse_tensor"): _sparse,
    ("torch._utils", "_rebuild_meta_tensor_no_storage"): _without_values,
    ("torch._tensor", "_rebuild_from_type_v2"): _of_type,
    ("torch.nn.parameter", "Parameter"): _first,
    ("torch", "Size"): _first,
}


def _find(module: str, name: str) -> object:
    """What a name of a checkpoint stands for: a function of this file, a type of numbers, or a stand-in."""
    if module in RUNS_CODE:
        raise Refused(f"asks for '{module}.{name:.80}', so it could run any code")
    if (module, name) in _TABLE:
        return Function(_TABLE[module, name])
    if module in ("torch", "torch.cuda", "torch.storage") and name in STORAGES:
        return _Kind(STORAGES[name])
    if module == "torch" and isinstance(vars(torch).get(name), torch.dtype):
        return vars(torch)[name]
    return Function(partial(StandIn, f"{module}.{name}"))
