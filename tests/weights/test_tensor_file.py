"""Files of tensors are read as the package safetensors reads them, and refused in one line where they are damaged."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from faster_rcnn.errors import ModelFileError
from faster_rcnn.weights.tensor_file import KINDS, opened, read_tensors


def file_of(folder: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    """A file with this header, given as a value or as text."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = folder / "a.safetensors"
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def entry(start: int, end: int, *shape: int, kind: str = "F32") -> dict[str, object]:
    return {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}


def test_every_type_is_read_as_the_package_reads_it(tmp_path: Path) -> None:
    numbers = torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    tensors = {str(kind): numbers.to(kind) for kind in KINDS.values()}
    tensors |= {"none": torch.zeros(0, 3), "one": torch.tensor(7.0)}
    save_file(tensors, tmp_path / "a.safetensors", metadata={"a": "b"})
    metadata, found = read_tensors(tmp_path / "a.safetensors")
    expected = load_file(tmp_path / "a.safetensors")
    assert metadata == {"a": "b"}
    assert set(found) == set(expected)
    for name, each in expected.items():
        assert found[name].dtype == each.dtype
        assert found[name].shape == each.shape
        assert found[name].reshape(-1).view(torch.uint8).tolist() == each.reshape(-1).view(torch.uint8).tolist()


@pytest.mark.parametrize(
    ("header", "size", "message"),
    [
        ({"a": entry(0, 8, 2), "b": entry(4, 12, 2)}, 12, "the place of tensor 'b' does not follow on the one before"),
        ({"a": entry(0, 8, 2), "b": entry(12, 20, 2)}, 20, "the place of tensor 'b' does not follow on the one before"),
        ({"a": entry(0, 8, 2)}, 12, "is incomplete or damaged"),
        ({"a": entry(0, 8, 2)}, 4, "is incomplete or damaged"),
        ({"a": entry(0, 8, 3)}, 8, "the shape and the place of tensor 'a' do not fit"),
        ({"a": entry(8, 0, 2)}, 8, "the shape and the place of tensor 'a' do not fit"),
        ({"a": entry(0, 8, -1, -2)}, 8, "the shape and the place of tensor 'a' do not fit"),
        ({"a": entry(0, 0, 0, 2**62, 2**62)}, 0, "the shape and the place of tensor 'a' do not fit"),
        ({"a": entry(0, 0, 0, *[2**31] * 4)}, 0, "tensor 'a' has the shape"),
        ({"a": entry(0, 4, *[1] * 100)}, 4, "the shape and the place of tensor 'a' do not fit"),
        ({"a": entry(0, 8, 2, kind="F4")}, 8, "tensor 'a' holds F4, a type that is not read"),
        ({"a": 5}, 0, "the shape and the place of tensor 'a' do not fit"),
        ({"a": {**entry(0, 8, 2), "more": 1}}, 8, "the shape and the place of tensor 'a' do not fit"),
        ({"__metadata__": {"a": 5}}, 0, "its metadata are not texts"),
        ({"__metadata__": 5}, 0, "its metadata are not texts"),
        (b'{"a": {}, "a": {}}', 0, "a name occurs twice"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 0, "it is nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", 0, "is damaged: in its header"),
        (b'{"a": \xff}', 0, "is damaged: in its header"),
        (b"{", 0, "is damaged: in its header"),
    ],
)
def test_damaged_headers(header: Any, size: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=rf"^E123 .*a\.safetensors.*{message}") as raised:
        read_tensors(file_of(tmp_path, header, bytes(size)))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("length", [2**63, 2**40, 99_000_000, 3])
def test_a_length_that_is_not_the_header_s(length: int, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"^E123 .*(is not a safetensors file|is incomplete|is damaged)"):
        read_tensors(file_of(tmp_path, {"a": entry(0, 8, 2)}, bytes(8), length))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_a_device_and_a_folder_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path / "pipe", "a named pipe"), (Path("/dev/zero"), "a device")):
        with pytest.raises(ModelFileError, match=f"^E123 {path} cannot be read: it is {kind}, not a file; save its"):
            read_tensors(path)
    with pytest.raises(ModelFileError, match="cannot be read: Is a directory"):
        read_tensors(tmp_path)
    with pytest.raises(ModelFileError, match="cannot be read: No such file"):
        read_tensors(tmp_path / "none")


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = file_of(tmp_path, {})

    def read() -> None:
        with opened(path) as stream:
            stream.read()
            path.write_bytes(b"more than before")

    with pytest.raises(ModelFileError, match="was changed while it was read"):
        read()
