"""Reader of pickles of numpy arrays, such as Detectron2's ``.pkl`` files, which runs no code from them.

A pickle is a program: it names functions of Python and calls them. Here every allowed name leads to a stand-in of this
file that checks its arguments; any other name ends the reading. numpy's own functions are not called, because they
trust the sizes and types that a file claims.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor

from faster_rcnn.errors import ModelFileError
from faster_rcnn.weights.pickle_program import Closed, Function, Refused, no_object, run_pickle, shown
from faster_rcnn.weights.tensor_file import opened, size_of

NUMBERS = ("i1", "i2", "i4", "i8", "u1", "f2", "f4", "f8")
"""Allowed types of arrays by numpy's names, a kind and a number of bytes; torch has each of them."""

MAGIC_OF_TORCH = bytes.fromhex("6cfc9c46f9206aa85019")
"""The number at the beginning of the files of an old ``torch.save``, in the byte order of pickles."""


def is_plain_pickle(path: Path) -> bool:
    """Whether a file is a pickle that torch did not write, by its content."""
    with opened(path) as stream:
        start = stream.read(64)
    return start.startswith(b"\x80") and MAGIC_OF_TORCH not in start


def read_plain_pickle(path: Path) -> object:
    """Read a pickle; each array in it becomes a ``PickledArray``.

    Raises ``ModelFileError`` (E123) where it names anything that arrays do not consist of, and where it is damaged.
    """
    try:
        with opened(path) as stream:
            return run_pickle(stream, size_of(stream), _find, no_object)
    except ModelFileError:
        raise
    except Refused as error:
        raise ModelFileError(
            f"{path} is a pickle that {error}; nothing of it was run or loaded. Save the tensors alone, with "
            "torch.save(model.state_dict(), FILE), and import that",
            code="E123",
        ) from error
    except Exception as error:  # damaged bytes are a random program, which can raise anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelFileError(
            f"{path} is incomplete or damaged ({reason}); was the copy interrupted?", code="E123"
        ) from error


class _Numbers(Closed):
    """Stand-in for ``numpy.dtype``: a type of numbers and its byte order."""

    __slots__ = ("code", "order")

    def __init__(self, code: object, *_: object) -> None:
        text = code.decode("latin1") if isinstance(code, bytes) else code
        self.order = "<"
        if isinstance(text, str) and text[:1] in ("<", ">", "|", "="):
            self.order, text = text[0], text[1:]
        if text not in NUMBERS:
            raise Refused(f"holds an array of the type {shown(code)}, which is not a number")
        self.code = str(text)

    def __setstate__(self, state: object) -> None:
        """Take the byte order from numpy's state (version, order, ...)."""
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        order = order.decode("latin1") if isinstance(order, bytes) else order
        if order not in ("<", ">", "|", "="):
            raise Refused(f"holds an array with the byte order {shown(order)}")
        self.order = order

    def read(self, shape: object, raw: object, order: object) -> Tensor:
        """The array with these bytes; raises ``Refused`` where their number does not fit the shape."""
        if not isinstance(shape, tuple) or not all(isinstance(side, int) and side >= 0 for side in shape):
            raise Refused("holds an array of no usable shape")
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        kind = np.dtype(f"{self.order}{self.code}")
        if not isinstance(raw, bytes | bytearray) or len(raw) != math.prod(shape) * kind.itemsize:
            raise Refused("holds an array whose shape and number of bytes do not fit")
        array = np.frombuffer(raw, kind).reshape(shape, order="F" if order in (True, "F") else "C")
        if not kind.isnative:
            array = array.astype(kind.newbyteorder("="))
        with warnings.catch_warnings():
            # The buffer is read-only, which is fine here, because imported tensors are copied into a model.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            return torch.from_numpy(array)


class PickledArray(Closed):
    """Stand-in for ``numpy.ndarray`` with the array as a tensor."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __setstate__(self, state: object) -> None:
        """Read the array from numpy's state (version, shape, type, order, bytes)."""
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], _Numbers):
            raise Refused("holds an array of anything but numbers")
        _, shape, numbers, order, raw = state
        self.tensor = numbers.read(shape, raw, order)


def _new_array(*_: object) -> PickledArray:
    """Stand-in for ``_reconstruct(ndarray, shape, type)``, which makes an empty array that a state fills later."""
    return PickledArray(torch.zeros(0))


def _scalar(numbers: object, raw: object) -> PickledArray:
    if not isinstance(numbers, _Numbers):
        raise Refused("holds a value of anything but numbers")
    return PickledArray(numbers.read((), raw, "C"))


def _from_buffer(raw: object, numbers: object, shape: object, order: object) -> PickledArray:
    """Stand-in for the function that makes arrays in pickles of protocol 5 and later."""
    if not isinstance(numbers, _Numbers):
        raise Refused("holds an array of anything but numbers")
    return PickledArray(numbers.read(shape, raw, order))


def _encode(text: object, encoding: object = "latin1") -> bytes:
    """Stand-in for the function that makes bytes in pickles up to protocol 2."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise Refused(f"encodes text as {shown(encoding)}")
    return text.encode("latin1")


def _no_call(*_: object) -> NoReturn:
    raise Refused("makes an array by calling numpy.ndarray")


_STAND_INS: dict[tuple[str, str], Callable[..., object]] = {  # numpy._core: since numpy 2
    ("numpy", "ndarray"): _no_call,  # only named, as the first argument of _reconstruct
    ("numpy", "dtype"): _Numbers,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): dict,
    ("numpy.core.multiarray", "_reconstruct"): _new_array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.multiarray", "_reconstruct"): _new_array,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
}


def _find(module: str, name: str) -> Function:
    """The stand-in for a name; raises ``Refused`` for a name that arrays do not need."""
    if (module, name) not in _STAND_INS:
        asked = f"{module}.{name}"
        raise Refused(f"asks for {asked!r:.80}, which is no part of an array and could run any code")
    return Function(_STAND_INS[module, name])
