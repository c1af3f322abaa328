from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faster_rcnn.errors import MachineError, VerificationError
from faster_rcnn.films import writer as of_writer
from faster_rcnn.films.writer import written_film
from made_films import cv2, decoded, picture


def pictures(count: int, width: int = 96, height: int = 64) -> list[Image.Image]:
    return [
        Image.fromarray(np.ascontiguousarray(picture(number, width, height)[:, :, ::-1])) for number in range(count)
    ]


@pytest.mark.parametrize(("width", "height"), [(96, 64), (95, 63)])
def test_a_film_has_the_pictures_and_the_rate(width: int, height: int, tmp_path: Path) -> None:
    given = pictures(10, width, height)
    with written_film(tmp_path / "out" / "a.mp4", 12.5) as writer:
        for number, one in enumerate(given):
            writer.write(one, 3 + number / 12.5)
    assert writer.written == 10
    found = decoded(tmp_path / "out" / "a.mp4")
    assert [each.shape for each in found] == [(64, 96, 3)] * 10  # odd sides are made even
    for one, other in zip(given, found, strict=True):
        assert np.abs(np.asarray(one, int) - other[:height, :width]).mean() < 12
    assert cv2.VideoCapture(str(tmp_path / "out" / "a.mp4")).get(cv2.CAP_PROP_FPS) == 12.5
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.mp4"]


def test_a_picture_is_repeated_until_the_next_one(tmp_path: Path) -> None:
    """At 10 frames a second, pictures at 0, 0.1 and 0.5 s: the second one stands for 0.1 to 0.4 s."""
    first, second, third = pictures(30)[::10]
    with written_film(tmp_path / "a.mp4", 10) as writer:
        for one, time in ((first, 0.0), (second, 0.1), (third, 0.5)):
            writer.write(one, time)
    found = decoded(tmp_path / "a.mp4")
    assert len(found) == writer.written == 6
    nearest = [
        min(range(3), key=lambda number: np.abs(np.asarray((first, second, third)[number], int) - each).mean())
        for each in found
    ]
    assert nearest == [0, 1, 1, 1, 1, 2]


def test_a_very_long_gap_is_shortened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_writer, "MAX_REPEATS", 3)
    with written_film(tmp_path / "a.mp4", 10) as writer:
        for time in (0.0, 1e6):
            writer.write(pictures(1)[0], time)
    assert writer.written == 5


def test_a_picture_of_another_size_is_resized(tmp_path: Path) -> None:
    with written_film(tmp_path / "a.mp4", 10) as writer:
        writer.write(pictures(1)[0], 0.0)
        writer.write(pictures(1, 48, 32)[0], 0.1)
    assert [each.shape for each in decoded(tmp_path / "a.mp4")] == [(64, 96, 3)] * 2


def test_after_an_error_there_is_no_film(tmp_path: Path) -> None:
    def work() -> None:
        with written_film(tmp_path / "a.mp4", 10) as writer:
            writer.write(pictures(1)[0], 0.0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert list(tmp_path.iterdir()) == []


def test_without_a_picture_there_is_no_film(tmp_path: Path) -> None:
    with written_film(tmp_path / "a.mp4", 10):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_incomplete_film_is_removed(tmp_path: Path) -> None:
    def work() -> None:
        with written_film(tmp_path / "a.mp4", 10) as writer:
            for number in range(2):
                writer.write(pictures(1)[0], number / 10)
            writer.written += 1  # as if OpenCV had lost a frame

    with pytest.raises(VerificationError, match=r"^the film with boxes is incomplete, 2 of 3 frames; it is removed"):
        work()
    assert list(tmp_path.iterdir()) == []


def test_opencv_without_the_encoder_is_the_machines_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_writer, "CODEC", "zzzz")
    with (
        pytest.raises(MachineError, match=r"^this build of OpenCV, .*, cannot write a film of 96x64 pixels"),
        written_film(tmp_path / "a.mp4", 10) as writer,
    ):
        writer.write(pictures(1)[0], 0.0)
    assert list(tmp_path.iterdir()) == []
