"""Reader of files of ``torch.save``, which runs no code from them.

There are two formats: a zip archive with a pickle and one uncompressed record for each storage, and an older one of
five pickles followed by the storages. ``torch.load`` is not used: it calls ``bytearray`` with any number, unpacks
compressed records of any size, and trusts the sizes that a pickle claims. Checkpoints hold more than weights, such as
``argparse.Namespace``, settings of other packages, or callbacks; stand-ins that do nothing replace these objects.
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
"""Values of the first two pickles of the older format."""

STORAGE_FOLDER = "data"
"""Name of the folder with the storages in an archive, and of the pickle beside it."""

UNSAFE_MODULES = ("os", "posix", "nt", "sys", "subprocess")
"""Modules that only a malicious checkpoint names; a file that names one is refused."""

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
"""Types of tensors by torch's classes of storages; quantized types are read as the integers that they store."""


def read_torch_file(path: Path) -> object:
    """Read a file of ``torch.save``, with tensors on the CPU and stand-ins for all other objects of classes.

    Raises ``ModelFileError`` (E123) where the file is damaged, or names a function that could run code.
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
    except Exception as error:  # damaged bytes are a random program, which can raise anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelFileError(
            f"{path} is incomplete or damaged ({reason:.200}); was the copy interrupted?", code="E123"
        ) from error


class _Kind(Closed):
    """Stand-in for a class of storages."""

    __slots__ = ("kind",)

    def __init__(self, kind: torch.dtype) -> None:
        self.kind = kind


class _Storage(Closed):
    """The memory of one or more tensors."""

    __slots__ = ("content", "kind")

    def __init__(self, content: Tensor, kind: torch.dtype) -> None:
        """Keep the bytes ``content`` and the type of the elements in them."""
        self.content, self.kind = content, kind

    def tensor(self, kind: torch.dtype, offset: int, size: Sequence[int], stride: Sequence[int]) -> Tensor:
        """A tensor on this memory; offset and strides count elements.

        Raises:
            ValueError: the shape is unusable or reaches beyond the storage.
        """
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
                contents[key] = _bytes_of(archive, names[f"{STORAGE_FOLDER}/{key}"])
            if len(contents[key]) != count * kind.itemsize:
                raise ValueError(f"record '{key:.80}' is not as long as the numbers in it")
            return _Storage(contents[key], kind)

        program = archive.read(names[f"{STORAGE_FOLDER}.pkl"])
        return run_pickle(BytesIO(program), len(program), _find, storage)


def _refuse_other_archives(path: Path, records: Mapping[str, zipfile.ZipInfo]) -> None:
    """Raise ``ModelFileError`` (E123) for TorchScript archives and for archives with compressed records."""
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
        stream.read(8)  # the number of elements, which is known already
        _fill(contents[key], stream)
    return content


def _bytes_of(archive: zipfile.ZipFile, record: zipfile.ZipInfo) -> Tensor:
    content = torch.empty(record.file_size, dtype=torch.uint8)
    with archive.open(record) as stream:
        _fill(content, stream)
    return content


def _fill(content: Tensor, stream: Any) -> None:
    if stream.readinto(content.numpy().data) != len(content):
        raise EOFError("a record is truncated")


def _identified(identifier: object) -> tuple[torch.dtype, str, int]:
    """Type, key and number of elements from the identifier of a storage; raises ``ValueError`` for other objects."""
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
    """A tensor with the shape of a sparse one and no values: it is reported by its name, and not imported."""
    _indices, values, size, *_ = data
    return torch.empty(tuple(size), dtype=values.dtype, device="meta")


def _without_values(kind: torch.dtype, size: Any, *_: object) -> Tensor:
    return torch.empty(tuple(size), dtype=kind, device="meta")


def _of_type(function: object, _type: object, arguments: tuple[object, ...], *_: object) -> object:
    """A tensor of a subclass, or one with attributes, as a plain tensor."""
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
    """The replacement for a name in a pickle: a function of this file, a type, or a stand-in.

    Raises:
        Refused: the name could run code.
    """
    if module in UNSAFE_MODULES:
        raise Refused(f"asks for '{module}.{name:.80}', so it could run any code")
    if (module, name) in _TABLE:
        return Function(_TABLE[module, name])
    if module in ("torch", "torch.cuda", "torch.storage") and name in STORAGES:
        return _Kind(STORAGES[name])
    if module == "torch" and isinstance(vars(torch).get(name), torch.dtype):
        return vars(torch)[name]
    return Function(partial(StandIn, f"{module}.{name}"))
