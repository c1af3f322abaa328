from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.errors import OptionError
from faster_rcnn.films.names import camera_number, films_among, is_film


@pytest.mark.parametrize("name", ["a.mp4", "b/A.MOV", "camera:0", "camera:x", "films/*.webm"])
def test_films_and_cameras_are_known_by_their_names(name: str) -> None:
    assert is_film(name)


@pytest.mark.parametrize("name", ["a.jpg", "-", "mp4", "a.mp4.png", "camera0", "folder"])
def test_other_names_are_none(name: str) -> None:
    assert not is_film(name)


def test_a_folder_is_no_film(tmp_path: Path) -> None:
    (tmp_path / "clips.mp4").mkdir()
    assert not is_film(str(tmp_path / "clips.mp4"))


def test_a_camera_has_a_number() -> None:
    assert [camera_number(name) for name in ("camera:0", "camera:12", "film.mp4")] == [0, 12, None]


@pytest.mark.parametrize("name", ["camera:", "camera:x", "camera:-1", "camera:1.5"])
def test_a_camera_without_a_number_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match=r"^E125 camera:.*: a camera is named by its number, such as camera:0$"):
        camera_number(name)


def test_patterns_are_expanded_and_films_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b.mp4", "a.mp4", "c[1].mp4", "d.avi"):
        Path(name).touch()
    assert films_among(["d.avi", "*.mp4", "b.mp4", "c[1].mp4", "x*.mov"]) == [
        "d.avi", "a.mp4", "b.mp4", "c[1].mp4", "x*.mov",
    ]  # fmt: skip


def test_films_and_images_are_not_mixed() -> None:
    with pytest.raises(OptionError, match=r"^E125 a\.mp4 is a film and b\.jpg is none: films and images have results"):
        films_among(["b.jpg", "a.mp4"])
    assert films_among(["b.jpg"]) == []
