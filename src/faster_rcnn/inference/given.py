"""What Python code passes as an image or as many: taken, or refused at the call.

Everything becomes one of the kinds that ``inputs.to_pixels`` converts. A file object is read, and a buffer copied, when
it is taken, since its owner may close or refill it while the detector still works on the image before.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
from torch import Tensor

from faster_rcnn.errors import ImageError, OptionError
from faster_rcnn.inference.inputs import KINDS, AnyImage

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


@runtime_checkable
class Readable(Protocol):
    """A file object that was opened in binary mode."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, all of them where ``size`` is -1."""


Array = np.ndarray[Any, np.dtype[Any]]

GivenImage = AnyImage | os.PathLike[str] | bytearray | memoryview | Readable
"""An image as Python code passes it; what has numpy's ``__array__`` is an array, too."""

_TAKEN = "an image is a path, bytes, a binary file object, a PIL image, or RGB as an array or a tensor"


def images_given(given: object) -> AnyImage | list[AnyImage] | Iterator[AnyImage]:
    """One image; or a list, of what holds its images already; or an iterator, of whatever gives them one by one.

    Raises:
        ImageError: it is none of these, or an item of a list is no image (E121). An iterator raises it when it comes
            to such an item.
    """
    array = _as_array(given)
    if array is not None and array.dtype.kind in "OTU" and array.ndim:
        given = _items(array)
    if isinstance(given, list | tuple):
        return [image_given(each, _numbered(number)) for number, each in enumerate(given)]
    if array is not None or _is_one(given) or isinstance(given, Mapping):
        return image_given(given, "image")
    try:
        items = iter(given)  # type: ignore[call-overload]  # anything may be given
    except TypeError:
        return image_given(given, "image")
    return _taken_one_by_one(items)


def image_given(given: object, name: str) -> AnyImage:
    """One image as a kind that ``to_pixels`` converts; ``name`` is what messages call it.

    Raises ``ImageError`` for anything else (E121), and for a file object that cannot be read (E104).
    """
    if isinstance(given, str):
        return _path(str(given), name)
    if isinstance(given, memoryview) and given.ndim > 1:
        return np.asarray(given)
    if isinstance(given, bytearray | memoryview):
        return bytes(given)
    if isinstance(given, os.PathLike) and not isinstance(given, Path):
        return Path(os.fsdecode(given))
    if _is_readable(given) and not isinstance(given, KINDS):
        return _content(given, name)
    array = _as_array(given)
    if array is not None and array.dtype.kind not in "OSTU" and array.ndim:
        return array
    if array is not None and array.dtype.kind in "TU" and not array.ndim:
        return _path(str(array), name)
    if array is None and isinstance(given, KINDS):
        return given
    raise ImageError(_refusal(given, array, name), code="E121")


def path_given(name: str, given: object) -> Path:
    """A path as Python code passes it; raises ``OptionError`` for anything else, and for an empty text (E125)."""
    if isinstance(given, str | os.PathLike) and os.fspath(given):
        return Path(os.fsdecode(given))
    kind = "an empty text" if isinstance(given, str) else f"of type {type(given).__name__}"
    raise OptionError(f"{name} is {kind}; it must be a path", code="E125")


def _is_one(given: object) -> bool:
    """Whether an object that may be iterable is one image."""
    return isinstance(given, (*KINDS, os.PathLike, bytearray, memoryview)) or _is_readable(given)


def _is_readable(given: object) -> TypeGuard[Readable]:
    """Whether an object is an open file; a module or a class may have a function ``read``, too."""
    return isinstance(given, Readable) and not isinstance(given, type | ModuleType)


def _taken_one_by_one(items: Iterator[object]) -> Iterator[AnyImage]:
    for number, each in enumerate(items):
        image = image_given(each, _numbered(number))
        del each
        # Cameras fill one array again and again, and the next image is taken while this one still waits.
        yield image.copy() if isinstance(image, np.ndarray) else image.clone() if isinstance(image, Tensor) else image
        del image  # it may be large, and the next one takes its time


def _numbered(number: int) -> str:
    return f"image {number} (counted from 0)"


def _as_array(given: object) -> Array | None:
    """An array, or what numpy makes one of; neither PIL images nor tensors, which have a meaning of their own."""
    if isinstance(given, np.ndarray):
        return given
    if isinstance(given, (*KINDS, Iterator, type)) or not hasattr(given, "__array__"):
        return None
    try:
        return np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ImageError(
            f"image is of type {type(given).__name__}, not an array of numpy: {reason}", code="E121"
        ) from error


def _items(array: Array) -> list[object]:
    """The images in an array of text or of objects."""
    if array.ndim != 1:
        shape = "x".join(map(str, array.shape))
        raise ImageError(
            f"images are an array of {shape} objects; give a flat list: array.ravel().tolist()", code="E121"
        )
    items: list[object] = array.tolist()
    return items


def _path(text: str, name: str) -> str:
    if not text:
        raise ImageError(f"{name} is an empty text instead of a path", code="E121")
    if _ADDRESS.match(text):
        raise ImageError(f"{name}: addresses such as {text} are not downloaded; give the file's bytes", code="E104")
    return text


def _content(file: Readable, name: str) -> bytes:
    """All bytes of a file object, from its beginning where it can go back there, as Pillow reads it."""
    if isinstance(file, io.TextIOBase):
        raise ImageError(
            f"{name} is a file that was opened as text; open it in binary mode: open(PATH, 'rb')", code="E121"
        )
    try:
        if getattr(file, "seekable", lambda: False)():
            file.seek(0)  # type: ignore[attr-defined]  # what is seekable has it
        content = file.read()
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise ImageError(f"{name} is a file object that cannot be read: {error}", code="E104") from error
    if not isinstance(content, bytes | bytearray | memoryview):
        raise ImageError(f"{name} is a file object that reads {type(content).__name__}, not bytes", code="E121")
    return bytes(content)


def _refusal(given: object, array: Array | None, name: str) -> str:
    """Why something is no image, and what to give instead."""
    kind = type(given).__name__
    if given is None:
        return f"{name} is None: was a file not found? cv2.imread gives None for it"
    if isinstance(given, Mapping):
        return f"{name} is a {kind}; give its images in a list: list(images.values())"
    if isinstance(given, tuple):
        parts = ", ".join(type(each).__name__ for each in given[:3])
        return f"{name} is a tuple ({parts}), as data sets give it; give the image alone: (image for image, *_ in data)"
    if isinstance(given, list):
        return f"{name} is a list; lists of images are not nested"
    if array is not None and array.dtype.kind == "S":
        return f"{name} is an array of bytes, which is neither a path nor an image; for paths: array.astype(str)"
    if array is not None and array.ndim:
        return f"{name} is an array of objects; give each of them as an image of its own"
    return f"{name} is of type {kind} ({given!r:.40}); {_TAKEN}"
