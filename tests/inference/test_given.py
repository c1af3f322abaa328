"""Objects that Python code passes as images: every kind gives the same picture, or is refused at the call."""

from __future__ import annotations

import io
import os
import pathlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, TensorDataset

from faster_rcnn.errors import ImageError
from faster_rcnn.inference.given import image_given, images_given
from faster_rcnn.inference.inputs import KINDS, to_pixels
from files import image_file, rgb


@pytest.fixture(autouse=True)
def _types_unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch type checks off, as for users."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return image_file(tmp_path / "a.png")


class OfAnotherLibrary:
    """An array of another package, such as jax or pandas, that numpy can read."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __array__(self, *_: object, **__: object) -> Any:
        return self.array


class Named:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


class Camera:
    """A file object that cannot seek."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def read(self, size: int = -1) -> bytes:
        return self.content


def one_of_each(path: Path) -> Iterator[Any]:
    encoded = path.read_bytes()
    written = io.BytesIO()
    Image.fromarray(rgb()).save(written, "PNG")  # its position is at its end
    with zipfile.ZipFile(path.with_suffix(".zip"), "w") as archive:
        archive.write(path, "a.png")
    yield from (path, str(path), np.str_(path), np.array(str(path)), os.fspath(path), Named(path))
    yield pathlib.PurePosixPath(path)
    yield from (entry for entry in os.scandir(path.parent) if entry.name == "a.png")
    yield from (encoded, bytearray(encoded), memoryview(encoded), io.BytesIO(encoded), written, Camera(encoded))
    with path.open("rb") as file:
        yield file
    with zipfile.ZipFile(path.with_suffix(".zip")) as archive:
        yield archive.open("a.png")
    array: Any = rgb()
    yield from (Image.open(path), array, memoryview(array), OfAnotherLibrary(array))
    yield torch.from_numpy(rgb()).permute(2, 0, 1)


def test_every_kind_of_one_image(path: Path) -> None:
    kinds = set()
    for given in one_of_each(path):
        image = images_given(given)
        assert isinstance(image, KINDS), type(given)
        np.testing.assert_array_equal(
            to_pixels(image, "image", 10**9).permute(1, 2, 0), rgb(), err_msg=str(type(given))
        )
        kinds.add(type(given).__name__)
    assert {"DirEntry", "bytearray", "memoryview", "BytesIO", "BufferedReader", "ZipExtFile"} <= kinds


@pytest.mark.parametrize(
    "many",
    [
        lambda paths: paths,
        tuple,
        np.array,
        lambda paths: np.array([str(each) for each in paths]),
        lambda paths: OfAnotherLibrary(np.array(paths, dtype=object)),
        lambda paths: [paths[0], rgb(), io.BytesIO(paths[2].read_bytes())],
    ],
)
def test_lists_tuples_and_arrays_of_paths_give_a_list(many: Any, tmp_path: Path) -> None:
    paths = [image_file(tmp_path / f"{number}.png") for number in range(3)]
    images = images_given(many(paths))
    assert isinstance(images, list)
    assert len(images) == 3
    for each in images:
        np.testing.assert_array_equal(to_pixels(each, "image", 10**9).permute(1, 2, 0), rgb())


@pytest.mark.parametrize(
    "many",
    [
        lambda folder: folder.glob("*.png"),
        lambda folder: set(folder.glob("*.png")),
        lambda folder: dict.fromkeys(folder.glob("*.png")).keys(),
        lambda folder: {number: str(each) for number, each in enumerate(folder.glob("*.png"))}.values(),
        lambda folder: os.scandir(folder),
        lambda folder: map(str, folder.glob("*.png")),
    ],
)
def test_other_iterables_give_an_iterator(many: Any, tmp_path: Path) -> None:
    for number in range(3):
        image_file(tmp_path / f"{number}.png")
    images = images_given(many(tmp_path))
    assert isinstance(images, Iterator)
    assert sorted(Path(str(each)).name for each in images) == ["0.png", "1.png", "2.png"]


def test_a_file_that_is_closed_before_its_turn(path: Path) -> None:
    def opened() -> Iterator[Any]:
        for _ in range(2):
            with path.open("rb") as file:
                yield file

    assert list(images_given(opened())) == [path.read_bytes()] * 2  # type: ignore[arg-type]  # an iterator


def test_an_array_that_is_filled_again(path: Path) -> None:
    frame = np.zeros((4, 4, 3), np.uint8)
    tensor = torch.zeros(3, 4, 4, dtype=torch.uint8)

    def camera() -> Iterator[Any]:
        for number in range(3):
            frame[:], tensor[:] = number, number
            yield frame if number % 2 else tensor

    images: Any = images_given(camera())
    assert [int(each.max()) for each in list(images)] == [0, 1, 2]


CLOSED = io.BytesIO(b"x")
CLOSED.close()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "E121 image is None: was a file not found"),
        (5, r"E121 image is of type int \(5\); an image is a path, bytes, a binary file object, a PIL image"),
        (True, "E121 image is of type bool"),
        (np.float64(2), "E121 image is of type float64"),
        (print, "E121 image is of type builtin_function_or_method"),
        (Path, "E121 image is of type "),
        (list, "E121 image is of type type"),
        (object(), "E121 image is of type object"),
        (os, r"E121 image is of type module \(<module 'os'.*; an image is a path, bytes, a binary file object"),
        (io.BytesIO, r"E121 image is of type type \(<class '_io\.BytesIO'>\)"),
        ({"a": 1}, r"E121 image is a dict; give its images in a list: list\(images\.values\(\)\)"),
        ("", "E121 image is an empty text"),
        ("https://example.org/a.jpg", "E104 image: addresses such as https://example.org/a.jpg are not downloaded"),
        ("file:///a.jpg", "E104 image: addresses such as file:"),
        (io.StringIO("text"), r"E121 image is a file that was opened as text; .*open\(PATH, 'rb'\)"),
        (CLOSED, "E104 image is a file object that cannot be read: I/O operation on closed file"),
        (Camera("text"), "E121 image is a file object that reads str, not bytes"),  # type: ignore[arg-type]
        (np.array([b"a.jpg"]), r"E121 image is an array of bytes.*astype\(str\)"),
        (np.array([["a.jpg"]]), r"E121 images are an array of 1x1 objects; give a flat list"),
        (np.array(None), "E121 image is of type ndarray"),
        ([rgb(), None], r"E121 image 1 \(counted from 0\) is None"),
        ([[rgb()]], r"E121 image 0 \(counted from 0\) is a list; lists of images are not nested"),
        (["a.jpg", ""], r"E121 image 1 \(counted from 0\) is an empty text"),
        ([(rgb(), {})], r"E121 image 0 .* is a tuple \(ndarray, dict\), as data sets give it; give the image alone"),
        ([np.array([rgb()[0, 0], None], dtype=object)], r"E121 image 0 .* is an array of objects"),
    ],
)
def test_objects_that_are_no_images_are_refused_at_the_call(given: Any, message: str) -> None:
    with pytest.raises(ImageError, match=rf"^{message}") as raised:
        images_given(given)
    assert "\n" not in str(raised.value)


def test_an_array_that_numpy_cannot_read_is_refused() -> None:
    class OnAnotherDevice:
        def __array__(self, *_: object, **__: object) -> Any:
            raise TypeError("Implicit conversion to a NumPy array is not allowed.\nUse .get()")

    with pytest.raises(ImageError, match=r"^E121 image is of type OnAnotherDevice, not an array of numpy: Implicit"):
        images_given(OnAnotherDevice())


class Pairs(Dataset[Any]):
    def __getitem__(self, index: int) -> Any:
        return torch.zeros(3, 4, 4), {"boxes": []}


def test_an_item_of_an_iterator_is_refused_when_it_is_taken() -> None:
    images = images_given(each for each in (rgb(), None))
    assert isinstance(images, Iterator)
    next(images)
    with pytest.raises(ImageError, match=r"^E121 image 1 \(counted from 0\) is None"):
        next(images)
    for pairs in (Pairs(), TensorDataset(torch.zeros(2, 3, 4, 4))):
        images = images_given(pairs)
        assert isinstance(images, Iterator)
        with pytest.raises(ImageError, match=r"^E121 image 0 \(counted from 0\) is a tuple \(Tensor.*data sets"):
            next(images)


def test_messages_take_the_name_of_the_image() -> None:
    with pytest.raises(ImageError, match=r"^E121 the third one is None"):
        image_given(None, "the third one")
