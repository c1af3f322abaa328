"""The exit code of each error, its message with and without a code, and how a lack of memory is recognized."""

from __future__ import annotations

import pytest
import torch

from faster_rcnn import errors
from faster_rcnn.errors import DatasetError, FasterRCNNError, MissingExtraError, is_out_of_memory

EXIT_CODES = {
    "FasterRCNNError": 1,
    "InputError": 2,
    "OptionError": 2,
    "DatasetError": 2,
    "ImageError": 2,
    "ModelFileError": 2,
    "ImageMemoryError": 5,
    "DivergedError": 3,
    "VerificationError": 4,
    "MachineError": 5,
    "MissingExtraError": 5,
    "LostProcessError": 5,
    "ElsewhereError": 1,
}


def test_every_error_has_the_exit_code_of_the_documentation() -> None:
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    assert {each.__name__: each.exit_code for each in classes if issubclass(each, FasterRCNNError)} == EXIT_CODES
    assert len(classes) == len(EXIT_CODES)


def test_a_code_stands_before_the_message_and_is_kept_apart() -> None:
    coded, plain = DatasetError("a.jpg has no size", code="E107"), DatasetError("a.jpg has no size")
    assert (str(coded), coded.code, coded.text) == ("E107 a.jpg has no size", "E107", "a.jpg has no size")
    assert (str(plain), plain.code, plain.text) == ("a.jpg has no size", None, "a.jpg has no size")


def test_a_missing_package_is_named_with_the_command_that_installs_it() -> None:
    assert (
        str(MissingExtraError("cv2", "proposals"))
        == "this needs the package 'cv2': pip install 'faster-rcnn[proposals]'"
    )


class OutOfMemoryError(RuntimeError):
    """Named as the exception of torch, which the function recognizes by its name."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (OutOfMemoryError("CUDA out of memory"), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), True),
        (RuntimeError("shapes do not match"), False),
        (DatasetError("a.jpg has no size"), False),
    ],
)
def test_a_lack_of_memory_is_recognized(error: BaseException, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_torch_is_recognized_when_it_runs_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60)
    assert is_out_of_memory(raised.value)
