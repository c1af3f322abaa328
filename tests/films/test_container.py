from __future__ import annotations

import struct
from pathlib import Path

import pytest

from faster_rcnn.films.container import container_of
from made_films import film_file, truncated


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.webm", "a.mkv"])
def test_a_whole_film_is_not_truncated_and_a_part_of_it_is(name: str, tmp_path: Path) -> None:
    whole = container_of(film_file(tmp_path / name))
    assert whole.size == whole.announced == (tmp_path / name).stat().st_size
    assert (whole.is_truncated, whole.is_avi) == (False, name == "a.avi")
    part = container_of(truncated(tmp_path / name))
    assert part.is_truncated
    assert part.size == (tmp_path / name).stat().st_size < part.announced <= whole.size


def test_what_follows_the_last_box_is_no_box(tmp_path: Path) -> None:
    film = film_file(tmp_path / "a.mp4")
    film.write_bytes(film.read_bytes() + b"\xff" * 40)
    assert not container_of(film).is_truncated


def test_boxes_of_64_bits_and_up_to_the_end(tmp_path: Path) -> None:
    film = tmp_path / "a.mp4"
    start = struct.pack(">I4s", 16, b"ftyp") + bytes(8)
    film.write_bytes(start + struct.pack(">I4sQ", 1, b"mdat", 2**33))
    assert container_of(film).announced == 16 + 2**33
    film.write_bytes(start + struct.pack(">I4s", 0, b"mdat") + bytes(100))
    assert not container_of(film).is_truncated


def test_a_live_recording_of_webm_announces_no_size(tmp_path: Path) -> None:
    film = tmp_path / "a.webm"
    film.write_bytes(b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + bytes(9))
    assert not container_of(film).is_truncated
    film.write_bytes(b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67\x40\x64" + bytes(9))  # 0x40 0x64: 100 bytes
    assert container_of(film).announced == 5 + 6 + 100


@pytest.mark.parametrize("content", [b"", b"no film", b"\x1a\x45\xdf\xa3", b"\x1a\x45\xdf\xa3\x80abc", b"\x00" * 20])
def test_other_files_announce_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    found = container_of(tmp_path / "a.mp4")
    assert (found.size, found.announced, found.is_avi) == (len(content), len(content), False)
