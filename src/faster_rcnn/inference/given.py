"""Conversion of the objects that Python code passes as images; anything that is no image is refused at the call.

Every object becomes one of the kinds that ``inputs.to_pixels`` converts. A file object is read, and a buffer copied,
when it is taken, since its owner may close or refill it while the detector still works on the image before.
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
        """Return the next ``size`` bytes, or all that are left where ``size`` is -1."""


Array = np.ndarray[Any, np.dtype[Any]]

GivenImage = AnyImage | os.PathLike[str] | bytearray | memoryview | Readable
"""An image as Python code passes it; an object with numpy's ``__array__`` is an array, too."""

_TAKEN = "an image is a path, bytes, a binary file object, a PIL image, or RGB as an array or a tensor"


def images_given(given: object) -> AnyImage | list[AnyImage] | Iterator[AnyImage]:
    """Convert the argument of ``predict`` to one image, a list of images, or an iterator over images.

    A list, a tuple or an array of paths gives a list; any other iterable gives an iterator.

    Raises:
        ImageError: the argument is none of these, or an item of a list is no image (E121). An iterator raises it when
            it reaches such an item.
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
    """Convert one image to a kind that ``to_pixels`` converts; messages call the image ``name``.

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
    """Convert a path that Python code passes; anything else, and an empty text, raises ``OptionError`` (E125)."""
    if isinstance(given, str | os.PathLike) and os.fspath(given):
        return Path(os.fsdecode(given))
    kind = "an empty text" if isinstance(given, str) else f"of type {type(given).__name__}"
    raise OptionError(f"{name} is {kind}; it must be a path", code="E125")


def _is_one(given: object) -> bool:
    """Whether an object is a single image, even if it can be iterated over."""
    return isinstance(given, (*KINDS, os.PathLike, bytearray, memoryview)) or _is_readable(given)


def _is_readable(given: object) -> TypeGuard[Readable]:
    """Whether an object is an open file; modules and classes with a function ``read`` are not."""
    return isinstance(given, Readable) and not isinstance(given, type | ModuleType)


def _taken_one_by_one(items: Iterator[object]) -> Iterator[AnyImage]:
    """Convert the items of an iterator when they are taken; arrays and tensors are copied."""
    for number, each in enumerate(items):
        image = image_given(each, _numbered(number))
        del each
        # Cameras fill one array again and again, and the next image is taken while this one still waits.
        yield image.copy() if isinstance(image, np.ndarray) else image.clone() if isinstance(image, Tensor) else image
        del image  # it may be large, and the next image may come late


def _numbered(number: int) -> str:
    return f"image {number} (counted from 0)"


def _as_array(given: object) -> Array | None:
    """Convert to an array where numpy can; ``None`` for PIL images and tensors, which are converted elsewhere."""
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
    """Refuse a text that cannot be the path of an image file."""
    if not text:
        raise ImageError(f"{name} is an empty text instead of a path", code="E121")
    if _ADDRESS.match(text):
        raise ImageError(f"{name}: addresses such as {text} are not downloaded; give the file's bytes", code="E104")
    return text


def _content(file: Readable, name: str) -> bytes:
    """Read all bytes of a file object, from its beginning where it can seek, as Pillow does."""
    if isinstance(file, io.TextIOBase):
        raise ImageError(
            f"{name} is a file that was opened as text; open it in binary mode: open(PATH, 'rb')", code="E121"
        )
    try:
        if getattr(file, "seekable", lambda: False)():
            file.seek(0)  # type: ignore[attr-defined]  # a seekable object has it
        content = file.read()
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise ImageError(f"{name} is a file object that cannot be read: {error}", code="E104") from error
    if not isinstance(content, bytes | bytearray | memoryview):
        raise ImageError(f"{name} is a file object that reads {type(content).__name__}, not bytes", code="E121")
    return bytes(content)


def _refusal(given: object, array: Array | None, name: str) -> str:
    """The reason why an object is no image, and the remedy."""
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
