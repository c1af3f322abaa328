"""Files of torch.save are read as torch reads them, run nothing, and take no more memory than they are long."""

from __future__ import annotations

import collections
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from faster_rcnn.errors import ModelFileError
from faster_rcnn.weights.foreign.state_dict import read_checkpoint
from faster_rcnn.weights.pickle_program import StandIn
from faster_rcnn.weights.torch_file import read_torch_file

SHARED = torch.arange(24.0)
CONTENT: dict[object, Any] = {
    "plain": torch.arange(6).reshape(2, 3),
    "columns": torch.arange(6.0).reshape(2, 3).T,
    "view": SHARED[4:10:2],
    "other view": SHARED.reshape(4, 6)[1:3, 2:],
    "half": torch.ones(3, dtype=torch.float16),
    "brain": torch.ones(3, dtype=torch.bfloat16),
    "double": torch.ones(3, dtype=torch.float64),
    "complex": torch.ones(2, dtype=torch.complex64),
    "bool": torch.tensor([True, False]),
    "byte": torch.tensor([1, 255], dtype=torch.uint8),
    "none": torch.zeros(0, 4),
    "one": torch.tensor(7.0),
    "parameter": nn.Parameter(torch.ones(2)),
    "values": [1, 2.5, "text", None, True, (1, 2), -(2**70)],
    "nested": collections.OrderedDict(a={"b": torch.ones(1)}),
    5: "a number as a key",
}


def saved(folder: Path, content: object, *, zipped: bool = True) -> Path:
    path = folder / "checkpoint.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def assert_same(found: Any, expected: Any) -> None:
    if isinstance(expected, Tensor):
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, each in expected.items():
            assert_same(found[key], each)
    else:
        assert found == expected


@pytest.mark.parametrize("zipped", [True, False])
def test_everything_is_read_as_torch_reads_it(zipped: bool, tmp_path: Path) -> None:
    path = saved(tmp_path, CONTENT, zipped=zipped)
    assert_same(read_torch_file(path), torch.load(path, weights_only=True))


def test_types_without_a_class_of_storages(tmp_path: Path) -> None:
    path = saved(tmp_path, {"eight": torch.ones(3).to(torch.float8_e4m3fn), "wide": torch.ones(2, dtype=torch.uint16)})
    found: Any = read_torch_file(path)
    assert found["eight"].dtype == torch.float8_e4m3fn
    assert torch.equal(found["eight"].float(), torch.ones(3))
    assert found["wide"].dtype == torch.uint16


@pytest.mark.filterwarnings("ignore")
def test_tensors_that_are_no_weights_keep_their_shape_and_are_told_apart(tmp_path: Path) -> None:
    quantized = torch.quantize_per_tensor(torch.ones(2, 3), 0.1, 0, torch.qint8)
    content = {"meta": torch.ones(2, 3, device="meta"), "sparse": torch.ones(2, 3).to_sparse(), "quantized": quantized}
    found: Any = read_torch_file(saved(tmp_path, content))
    assert {tuple(each.shape) for each in found.values()} == {(2, 3)}
    assert found["meta"].is_meta
    assert found["sparse"].is_meta
    assert found["quantized"].dtype == torch.int8


def rewritten(path: Path, change: Callable[[str, bytes], bytes], kind: int = zipfile.ZIP_STORED) -> None:
    """Write an archive anew, each record as ``change`` returns it."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in records.items():
            archive.writestr(name, change(name, content))


def test_compressed_records_are_refused_by_name(tmp_path: Path) -> None:
    path = saved(tmp_path, {"a": torch.zeros(10_000_000)})
    rewritten(path, lambda _, content: content, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    with pytest.raises(ModelFileError, match=r"^E123 .*pth holds the record 'data\.pkl' compressed, as torch"):
        read_torch_file(path)


@pytest.mark.parametrize("length", [0, 4, 7, 12])
def test_a_record_that_is_not_as_long_as_its_numbers(length: int, tmp_path: Path) -> None:
    # torch.load reads memory behind the record here.
    path = saved(tmp_path, {"a": torch.ones(2)})
    rewritten(path, lambda name, content: bytes(length) if name.endswith("data/0") else content)
    with pytest.raises(ModelFileError, match=r"is incomplete or damaged \(record '0' is not as long as the"):
        read_torch_file(path)


def program(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Change the pickle in an archive."""
    rewritten(path, lambda name, content: change(content) if name.endswith("data.pkl") else content)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"K\x02\x85q", b"K\x03\x85q"),  # the size of the tensor
        (b"K\x01\x85q", b"K\x09\x85q"),  # its stride
        (b"K\x02\x85q", b"J\xff\xff\xff\xff\x85q"),
        (b"K\x02\x85q", b"\x8a\x08" + struct.pack("<q", 2**62) + b"\x85q"),
        (b"K\x02tq", b"\x8a\x08" + struct.pack("<q", 2**60) + b"tq"),  # the numbers of the storage
        (b"FloatStorage", b"DoubleStorage"),
    ],
)
def test_claimed_sizes_are_compared_with_the_file(old: bytes, new: bytes, zipped: bool, tmp_path: Path) -> None:
    path = saved(tmp_path, {"a": torch.ones(2)}, zipped=zipped)
    content = path.read_bytes()
    if not zipped:
        old, new = old.replace(b"K\x02tq", b"K\x02Ntq"), new.replace(b"tq", b"Ntq")
        assert old in content
        path.write_bytes(content.replace(old, new, 1))
    else:
        assert old in content
        program(path, lambda text: text.replace(old, new, 1))
    with pytest.raises(ModelFileError, match=r"^E123 .*is incomplete or damaged \(") as raised:
        read_torch_file(path)
    assert "\n" not in str(raised.value)


def written(folder: Path, steps: bytes) -> Path:
    """An archive whose pickle has these steps."""
    path = saved(folder, {"a": torch.ones(2)})
    program(path, lambda _: b"\x80\x02" + steps + b".")
    return path


def test_a_call_of_bytearray_allocates_nothing(tmp_path: Path) -> None:
    number = b"\x8a\x08" + struct.pack("<q", 10**10)
    found: Any = read_torch_file(
        written(tmp_path, b"}X\x01\x00\x00\x00ac__builtin__\nbytearray\n" + number + b"\x85Rs")
    )
    assert isinstance(found["a"], StandIn)
    assert found["a"].name == "__builtin__.bytearray"


@pytest.mark.parametrize(
    "steps",
    [
        b"X\xff\xff\xff\xffa",  # a text of 4 GB
        b"\x8d" + struct.pack("<Q", 2**60) + b"a",
        b"\x8e" + struct.pack("<Q", 2**40) + b"a",
        b"\x96" + struct.pack("<Q", 2**40) + b"a",  # a bytearray
        b"\x8b\xff\xff\xff\x7fa",  # an integer of 2 GB
        b"L" + b"9" * 5000 + b"L\n",
        b"]r\xff\xff\xff\xff" + b"h\x07",
        b"(" * 3 + b"tttt",
        b"0",
        b"R",
        b"b",
        b"s",
        b"u",
        b"e",
        b"\x85",
        b"\x93",
        b"h\x07",
        b"\x97",
        b"\x82\x01",
    ],
)
def test_damaged_programs_are_one_line(steps: bytes, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"^E123 .*is (incomplete or damaged|a pickle that)") as raised:
        read_torch_file(written(tmp_path, steps))
    assert "\n" not in str(raised.value)


def test_a_place_in_the_memory_of_a_pickle_takes_no_memory(tmp_path: Path) -> None:
    # Python's own unpickler makes a list of as many places.
    assert read_torch_file(written(tmp_path, b"]r\xff\xff\xff\xff0}")) == {}


def test_values_within_each_other_take_no_time(tmp_path: Path) -> None:
    # Tuples of two times the one before, 60 times: hashing or printing the last one takes 2**60 steps.
    bomb = b")" + b"".join(b"q\x01h\x01\x86" for _ in range(60))
    steps = b"}" + bomb + b"K\x01s"
    assert read_torch_file(written(tmp_path, steps)) == {}
    named = b"}X\x01\x00\x00\x00a" + bomb + b"s"
    with pytest.raises(ModelFileError, match=r"its keys are 'a' \(tuple\)"):
        read_checkpoint(written(tmp_path, named))


def test_dictionaries_within_each_other_are_searched_once(tmp_path: Path) -> None:
    inner: dict[str, Any] = {}
    for _ in range(4):
        inner = {f"k{number}": inner for number in range(300)}
    with pytest.raises(ModelFileError, match="holds no state dict"):
        read_checkpoint(saved(tmp_path, inner))  # 300**4 ways lead to the innermost one


def test_too_many_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faster_rcnn.weights.pickle_program.MAX_STEPS", 100)
    with pytest.raises(ModelFileError, match="is a pickle that has more than 100 steps; nothing of it was run"):
        read_torch_file(written(tmp_path, b"N0" * 60 + b"N"))


def test_an_older_file_whose_tensors_are_longer_than_itself(tmp_path: Path) -> None:
    path = saved(tmp_path, {"a": torch.ones(2)}, zipped=False)
    content = path.read_bytes()
    at = content.index(b"K\x02Ntq")
    path.write_bytes(content[:at] + b"\x8a\x05" + struct.pack("<q", 10**11)[:5] + content[at + 2 :])
    with pytest.raises(ModelFileError, match=r"is incomplete or damaged \(its tensors are longer than the file\)"):
        read_torch_file(path)


def test_the_names_that_a_checkpoint_may_use_are_never_imported(tmp_path: Path) -> None:
    # A module that exists nowhere: to look it up would fail.
    found: Any = read_torch_file(written(tmp_path, b"cno_such_module\nThing\n)R"))
    assert isinstance(found, StandIn)
    assert found.name == "no_such_module.Thing"


def test_what_pickles_of_python_2_hold(tmp_path: Path) -> None:
    # OrderedDict as a call with a list of pairs, and texts as bytes.
    pair = b"]q\x05(U\x01aK\x01ee".replace(b"ee", b"e")
    steps = b"ccollections\nOrderedDict\n](" + pair + b"e\x85R"
    assert read_torch_file(written(tmp_path, steps)) == {"a": 1}


def test_a_damaged_checkpoint_is_not_called_a_safetensors_file(tmp_path: Path) -> None:
    path = saved(tmp_path, {"a": torch.ones(2)})
    path.write_bytes(b"XX" + path.read_bytes()[2:])
    with pytest.raises(ModelFileError, match=r"^E123 .*pth is neither a safetensors file nor one that torch"):
        read_checkpoint(path)


def test_a_pointer_of_git_lfs_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    with pytest.raises(ModelFileError, match=r"model\.pth is a pointer of Git LFS.*; fetch it: git lfs pull$"):
        read_checkpoint(path)
