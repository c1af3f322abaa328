from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.testing import assert_close

from faster_rcnn import Detector, Film
from faster_rcnn.errors import ImageError, MachineError, OptionError
from faster_rcnn.films import film as of_film
from faster_rcnn.films.reader import FilmTally
from faster_rcnn.inference.prefetch import THREADS
from files import loaded_model
from films.test_camera import MadeCamera
from made_films import RATE, cv2, damaged, decoded, film_file, truncated


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(loaded_model(), precision="float32")


def test_results_are_those_of_the_frames_as_images(detector: Detector, tmp_path: Path) -> None:
    path = film_file(tmp_path / "a.mp4")
    found = list(detector.predict(Film(path), conf=0.0))
    expected = detector.predict([np.asarray(each) for each in decoded(path)], conf=0.0)
    assert len(found) == len(expected) == 12
    assert any(len(each) for each in found)
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert one.frame is not None
        assert (one.frame.number, one.frame.film) == (number, str(path))
        assert one.frame.time == pytest.approx(number / RATE)
        assert_close((one.boxes, one.scores), (other.boxes, other.scores), rtol=0, atol=0)
        assert one.labels.tolist() == other.labels.tolist()
        assert one.to_json()["detections"] == other.to_json()["detections"]
        assert {**one.to_json(), "detections": 0} == {
            "film": str(path), "frame": number, "time": one.frame.time, "width": 96, "height": 64, "detections": 0,
        }  # fmt: skip
        assert one.path is None
        assert one.picture().size == (96, 64)
    assert repr(found[3]).startswith(f"Result(frame 3 of {path}, 96x64, ")


def test_tiles_and_classes_work_as_for_images(detector: Detector, tmp_path: Path) -> None:
    path = film_file(tmp_path / "a.mp4", frames=2)
    options: dict[str, Any] = {"conf": 0.0, "tile": 48, "classes": ["dog"], "max_det": 7}
    found = list(detector.predict(Film(path), **options))
    expected = detector.predict([np.asarray(each) for each in decoded(path)], **options)
    assert [each.to_coco() for each in found] == [each.to_coco() for each in expected]
    assert {name for each in found for name in each.names} == {"dog"}


def test_a_film_is_decoded_again_for_each_loop_and_its_thread_ends(tmp_path: Path) -> None:
    film = Film(film_file(tmp_path / "a.mp4"), every=5)
    assert [frame.number for frame in film] == [frame.number for frame in film] == [0, 5, 10]
    assert (film.expected, film.rate, repr(film)) == (3, 5.0, f"Film('{tmp_path / 'a.mp4'}', every=5)")
    for frame in film:
        assert frame.number == 0
        break
    assert not [each for each in threading.enumerate() if each.name.startswith(THREADS)]


def test_broken_frames_are_counted_and_named_and_do_not_end_the_film(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    film, tally = Film(damaged(film_file(tmp_path / "a.mp4", frames=30))), FilmTally()
    frames = list(film.frames(tally))
    assert frames[-1].number == 29
    assert len(frames) + len(tally.broken) == 30
    first, last = tally.broken[0], tally.broken[-1]
    line = f"{film.name}: {len(tally.broken)} frames cannot be decoded and are left out: {first}-{last}"
    assert tally.faults == caplog.messages == [line]


@pytest.mark.parametrize("name", ["a.avi", "a.webm", "a.mkv"])
def test_a_truncated_film_gives_its_beginning(name: str, tmp_path: Path) -> None:
    tally = FilmTally()
    path = truncated(film_file(tmp_path / name, frames=30))
    frames = list(Film(path).frames(tally))
    assert 0 < len(frames) < 30
    assert [frame.number for frame in frames] == list(range(len(frames)))
    [line] = tally.faults
    size = path.stat().st_size
    assert line.startswith(f"{path} is truncated, {size:,} of ")
    assert line.endswith(f" bytes: what comes after {frames[-1].time:.2f} s is lost")


def test_frames_that_an_avi_lacks_are_counted(tmp_path: Path) -> None:
    path = damaged(film_file(tmp_path / "a.avi", frames=30, codec="mp4v"))  # FFmpeg skips the zeros in silence
    tally = FilmTally()
    frames = list(Film(path).frames(tally))
    missing = 30 - len(frames)
    assert missing > 0
    assert tally.faults == [f"{path} is damaged: {missing} of the 30 frames that it announces are not in it"]


def test_a_gap_that_a_decoder_skips_in_silence_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "faster_rcnn")
    tally = FilmTally()
    frames = list(Film(damaged(film_file(tmp_path / "a.webm", frames=40), 0.4, 0.6)).frames(tally))
    assert len(frames) < 36
    start, end = tally.gap
    assert caplog.messages == [
        f"{tmp_path / 'a.webm'}: there is no frame between {start:.2f} s and {end:.2f} s, its longest gap"
    ]


def test_a_film_without_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"^E105 .*a\.avi holds no frame$"):
        Film(film_file(tmp_path / "a.avi", frames=0))


@pytest.mark.parametrize("every", [0, -1, True])
def test_a_step_that_makes_no_sense_is_refused(every: Any, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"^E125 every "):
        Film(film_file(tmp_path / "a.mp4", frames=1), every)


def test_what_is_no_path_is_refused() -> None:
    with pytest.raises(OptionError, match=r"^E125 source is an empty text; it must be a path$"):
        Film("")


def test_a_camera_gives_results_until_it_ends(detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    made = MadeCamera(3)
    made.allowed.release(10)
    monkeypatch.setattr(of_film, "open_camera", lambda number: made)
    film, tally = Film("camera:2"), FilmTally()
    assert (film.camera, film.facts, film.expected) == (2, None, None)
    numbers = [frame.number for frame in film.frames(tally)]
    assert numbers[-1] == 2
    assert len(numbers) + tally.skipped == 3
    [line] = tally.faults
    assert line == f"camera:2 gives no more frames after {tally.end:.2f} s; was it unplugged?"
    assert made.released


def test_a_camera_that_is_not_there_is_refused_at_once() -> None:
    assert not cv2.VideoCapture(98).isOpened()
    with pytest.raises(MachineError, match=r"^camera:98 cannot be opened"):
        Film("camera:98")
