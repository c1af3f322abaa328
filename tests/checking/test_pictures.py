"""The facts about one file, and the hash that near copies share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faster_rcnn.checking import pictures
from faster_rcnn.checking.pictures import difference_hash, read_picture, read_pictures
from faster_rcnn.structures import ImageSize
from files import image_file

LIMIT = 10**8


def test_the_hash_has_a_bit_for_each_pair_of_neighbours() -> None:
    ramp = np.tile(np.arange(0, 90, 10, dtype=np.uint8), (8, 1))
    assert difference_hash(Image.fromarray(ramp)) == 2**64 - 1
    assert difference_hash(Image.fromarray(ramp[:, ::-1].copy())) == 0
    ramp[0, 1] = 255  # the first pair still rises, the second one falls
    assert difference_hash(Image.fromarray(ramp)) == 2**64 - 1 - 2**62


def test_a_sound_image(tmp_path: Path) -> None:
    path = image_file(tmp_path / "a.png", 40, 60)
    picture = read_picture(path, LIMIT)
    assert (picture.size, picture.type, picture.orientation) == (ImageSize(40, 60), "PNG", 1)
    assert (picture.fault, picture.remark, picture.conversion) == (None, None, None)
    assert len(picture.thumbnail) == pictures.SIDE**2
    assert picture.bytes == path.stat().st_size


@pytest.mark.parametrize(
    ("content", "code"), [(b"", "E105"), (b"no image", "E105"), (None, "E104")], ids=["empty", "text", "absent"]
)
def test_files_that_are_no_images(tmp_path: Path, content: bytes | None, code: str) -> None:
    path = tmp_path / "a.jpg"
    if content is not None:
        path.write_bytes(content)
    picture = read_picture(path, LIMIT)
    assert picture.size is None
    assert picture.fault is not None
    assert picture.fault[0] == code


def test_a_truncated_image_has_a_size_and_a_fault(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        path = image_file(tmp_path / name, 200, 300)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        picture = read_picture(path, LIMIT)
        assert picture.size == ImageSize(200, 300)
        assert picture.fault is not None
        assert picture.fault[0] == "damaged"


def test_too_many_pixels_are_refused(tmp_path: Path) -> None:
    picture = read_picture(image_file(tmp_path / "a.png", 40, 60), 2399)
    assert picture.fault is not None
    assert picture.fault[0] == "E120"


@pytest.mark.filterwarnings("error")
def test_our_limit_holds_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = image_file(tmp_path / "a.png", 40, 60)
    for pillows in (2000, 1000):  # of which Pillow warns from the limit on, and refuses twice as many pixels
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pillows)
        picture = read_picture(path, 2400)
        assert (picture.fault, picture.type) == (None, "PNG")


def test_one_bit_is_no_grey(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.eye(20, dtype=bool)).save(path)
    assert read_picture(path, LIMIT).conversion == "1-bit"


def test_processes_and_one_process_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [image_file(tmp_path / f"{number}.png", 20, 30, seed=number) for number in range(20)]
    paths.append(tmp_path / "absent.png")
    alone = read_pictures(paths, LIMIT)
    monkeypatch.setattr(pictures, "FEW", 0)
    monkeypatch.setattr(pictures, "processors", lambda: 2)
    assert read_pictures(paths, LIMIT) == alone
    assert read_pictures([], LIMIT) == []
