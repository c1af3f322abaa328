"""Pickles of arrays are read, and nothing in a pickle is ever run."""

from __future__ import annotations

import builtins
import collections
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from faster_rcnn.errors import ModelFileError
from faster_rcnn.weights.foreign.state_dict import read_checkpoint
from faster_rcnn.weights.foreign.unpickling import is_plain_pickle, read_plain_pickle

RAN: list[str] = []
"""What a pickle of these tests would fill, were it run."""


class Calls:
    """Pickled as a call of a function."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[object, ...]]:
        return self.function, self.arguments


def file_of(folder: Path, content: object, protocol: int = 2) -> Path:
    path = folder / "model.pkl"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_by_name(protocol: int, tmp_path: Path) -> None:
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    arrays = {
        "rows": rows,
        "columns": np.asfortranarray(rows),
        "big endian": rows.astype(">f8"),
        "half": rows.astype(np.float16),
        "zero-dimensional": np.array(3),
        "scalar": np.float32(2.5),
    }
    read = read_checkpoint(file_of(tmp_path, {"model": collections.OrderedDict(arrays), "epoch": 3}, protocol)).tensors
    expected = torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    for name in ("rows", "columns"):
        assert torch.equal(read[name], expected)
    assert torch.equal(read["big endian"], expected.double())
    assert torch.equal(read["half"], expected.half())
    assert torch.equal(read["zero-dimensional"], torch.tensor(3))
    assert torch.equal(read["scalar"], torch.tensor(2.5))


@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_names_of_numpy_before_and_since_version_2(core: str, tmp_path: Path) -> None:
    written = pickle.dumps({"a": np.ones(2, np.float32)}, protocol=2)
    assert b"cnumpy._core.multiarray\n_reconstruct\n" in written
    path = file_of(tmp_path, written.replace(b"cnumpy._core.", f"c{core}.".encode()))
    assert torch.equal(read_checkpoint(path).tensors["a"], torch.ones(2))


def test_what_torch_wrote_is_told_by_its_content_not_by_its_ending(tmp_path: Path) -> None:
    for zipped in (True, False):
        path = tmp_path / f"{zipped}.pkl"
        torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=zipped)
        assert not is_plain_pickle(path)
        assert torch.equal(read_checkpoint(path).tensors["a"], torch.ones(2))
    path = tmp_path / "arrays.pth"
    path.write_bytes(pickle.dumps({"a": np.ones(2)}))
    assert is_plain_pickle(path)
    assert torch.equal(read_checkpoint(path).tensors["a"], torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, ("echo ran",), "posix.system"),
        (builtins.eval, ("RAN.append('x')",), "__builtin__.eval"),
        (RAN.append, ("x",), "__builtin__.getattr"),
        (torch.load, ("other.pth",), "torch.serialization.load"),
        (torch.hub.load, ("somebody/code", "model"), "torch.hub.load"),
        (np.load, ("other.npy",), "numpy.load"),
        (np.zeros, (3,), "numpy.zeros"),
        (Path, ("x",), "pathlib"),
    ],
)
def test_a_call_is_refused_by_its_name(function: Any, arguments: tuple[object, ...], name: str, tmp_path: Path) -> None:
    path = file_of(tmp_path, {"model": {"a": np.ones(2), "b": Calls(function, *arguments)}})
    with pytest.raises(ModelFileError, match=rf"^E123 .*model.pkl is a pickle that asks for '{name}") as raised:
        read_checkpoint(path)
    assert "nothing of it was run or loaded" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert RAN == []


def test_tensors_of_torch_in_a_plain_pickle_are_refused(tmp_path: Path) -> None:
    path = file_of(tmp_path, {"a": torch.ones(2)})
    with pytest.raises(ModelFileError, match=r"asks for 'torch\._utils\._rebuild_tensor_v2'.*Save .* with torch\.save"):
        read_checkpoint(path)


def array_of(kind: bytes, shape: bytes, state: bytes) -> bytes:
    """A pickle of ``_reconstruct(ndarray, (0,), b"b")`` with a state of its own making (protocol 2)."""
    made = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85c_codecs\nencode\nX\x01\x00\x00\x00b"
    )
    made += b"X\x06\x00\x00\x00latin1\x86R\x87R"
    typed = b"cnumpy\ndtype\n" + kind + b"\x85R"
    return made + b"(K\x01" + shape + typed + b"\x89" + state + b"tb."


TEXT_F4, TEXT_O = b"X\x02\x00\x00\x00f4", b"X\x01\x00\x00\x00O"
TWO, EIGHT_BYTES = b"K\x02\x85", b"X\x08\x00\x00\x00" + bytes(8)


def test_an_array_written_by_hand_is_read(tmp_path: Path) -> None:
    # Two float32, of eight bytes.
    content: Any = read_plain_pickle(file_of(tmp_path, array_of(TEXT_F4, TWO, EIGHT_BYTES)))
    assert torch.equal(content.tensor, torch.zeros(2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (array_of(TEXT_O, TWO, EIGHT_BYTES), "type 'O', which is not a number"),
        (array_of(b"X\x03\x00\x00\x00V99", TWO, EIGHT_BYTES), "type 'V99', which is not a number"),
        (array_of(TEXT_F4, b"K\x03\x85", EIGHT_BYTES), "shape and number of bytes do not fit"),
        # 2^62 numbers in eight bytes: nothing is allocated for them.
        (
            array_of(TEXT_F4, b"\x8a\x08" + struct.pack("<q", 2**62) + b"\x85", EIGHT_BYTES),
            "number of bytes do not fit",
        ),
        (array_of(TEXT_F4, b"J\xff\xff\xff\xff\x85", EIGHT_BYTES), "no usable shape"),
        (array_of(TEXT_F4, TWO, b"]"), "number of bytes do not fit"),
        (pickle.dumps({"a": np.array([{}, []], dtype=object)}), "type 'O8', which is not a number"),
        (pickle.dumps({"a": np.array(["text"])}), "type 'U4', which is not a number"),
        (pickle.dumps({"a": np.zeros(2, dtype=[("x", "f4")])}), "type 'V4', which is not a number"),
        (b"\x80\x02X\x01\x00\x00\x00xQ.", "asks for an object that is not in it"),
        (b"\x80\x02cnumpy\nndarray\nK\x05\x85R.", "makes an array by calling numpy.ndarray"),
        (b"\x80\x02cnumpy\nndarray.tofile\nK\x05\x85R.", "asks for 'numpy.ndarray.tofile'"),
        # A stand-in whose attributes would be set.
        (b"\x80\x02cnumpy\nndarray\nN}X\x05\x00\x00\x00_callK\x01s\x86b.", "changes something that is not its own"),
        (b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00xX\x04\x00\x00\x00zlib\x86R.", "encodes text as 'zlib'"),
    ],
)
def test_tricks_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=message):
        read_plain_pickle(file_of(tmp_path, content))


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"a": np.ones(50)})[:-30],
        b"\x80\x02",
        b"\x80\x02K\x01K\x02b.",  # a state for a number
        b"\x80\x02\x82\x01.",  # an extension that nobody registered
        b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"x",  # more bytes than any memory
        b"\x80\x63K\x01.",
    ],
)
def test_damaged_pickles_are_one_line(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"^E123 .* is incomplete or damaged \(.+\); was the copy") as raised:
        read_checkpoint(file_of(tmp_path, content))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [5, [1, 2], {"model": {"a": "text"}}, {"model": {"a": [np.ones(2)]}}])
def test_what_is_no_state_dict(content: object, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="holds no state dict"):
        read_checkpoint(file_of(tmp_path, content))


def test_one_array_under_two_names(tmp_path: Path) -> None:
    shared = np.ones(3, np.float32)
    read: dict[str, Tensor] = read_checkpoint(file_of(tmp_path, {"a": shared, "b": shared})).tensors
    assert torch.equal(read["a"], torch.ones(3))
    assert torch.equal(read["b"], torch.ones(3))
