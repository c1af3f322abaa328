from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from drawn_pictures import pixels_of
from explained_images import tiny_explained
from faster_rcnn.errors import MissingExtraError, OptionError
from faster_rcnn.explanation import film
from faster_rcnn.explanation.causes.explained import Explained
from faster_rcnn.explanation.film import MAX_BYTES, gif_of, write_film, write_films
from faster_rcnn.explanation.plots import scenes
from faster_rcnn.explanation.plots.scenes import film_frames
from faster_rcnn.inference.tiles import Tiling


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small films of few frames."""
    monkeypatch.setattr(scenes, "STOPS", 2)
    monkeypatch.setattr(scenes, "MIN_WIDTH", 200)
    monkeypatch.setattr(film, "SIDES", (200,))


@pytest.mark.usefixtures("short")
def test_a_gif_has_the_frames_of_the_film_and_repeats(tmp_path: Path) -> None:
    explained = tiny_explained()
    write_film(explained, tmp_path / "film.gif")
    frames = list(film_frames(explained.recording, explained.fates[0], 200))
    with Image.open(tmp_path / "film.gif") as found:
        assert found.size == frames[0].picture.size
        assert found.info["loop"] == 0
        times = []
        for number in range(found.n_frames):  # type: ignore[attr-defined]
            found.seek(number)
            times.append(found.info["duration"])
        last = found.convert("RGB")
    # Pillow joins frames without a difference, and keeps their time.
    assert sum(times) == sum(frame.milliseconds for frame in frames)
    expected = frames[-1].picture
    difference = [abs(a - b) for a, b in zip(last.tobytes(), expected.tobytes(), strict=True)]
    assert sum(difference) / len(difference) < 12  # of 255, for 255 colours in the place of all


def test_a_gif_of_noise_in_full_size_is_small_enough() -> None:
    assert len(gif_of(tiny_explained(size=(96, 128)))) <= MAX_BYTES


def test_a_film_that_is_too_large_becomes_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    explained = tiny_explained()
    monkeypatch.setattr(scenes, "STOPS", 2)
    monkeypatch.setattr(scenes, "MIN_WIDTH", 100)
    monkeypatch.setattr(film, "SIDES", (300, 200, 100))
    sizes = {side: _size(explained, side) for side in (300, 200, 100)}
    monkeypatch.setattr(film, "MAX_BYTES", sizes[200])
    assert len(gif_of(explained)) == sizes[200]
    monkeypatch.setattr(film, "MAX_BYTES", 10)
    assert len(gif_of(explained)) == sizes[100]


def _size(explained: Explained, side: int) -> int:
    return len(film._gif(list(film_frames(explained.recording, explained.fates[0], side))))


@pytest.mark.usefixtures("short")
def test_an_mp4_shows_each_frame_for_its_time(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    explained = tiny_explained()
    write_film(explained, tmp_path / "film.MP4")
    frames = list(film_frames(explained.recording, explained.fates[0], 200))
    video = cv2.VideoCapture(str(tmp_path / "film.MP4"))
    seconds = video.get(cv2.CAP_PROP_FRAME_COUNT) / video.get(cv2.CAP_PROP_FPS)
    assert seconds == pytest.approx(sum(frame.milliseconds for frame in frames) / 1000)
    _, first = video.read()
    video.release()
    difference = abs(first[:, :, ::-1].astype(int) - frames[0].picture.crop((0, 0, *first.shape[1::-1]))).mean()
    assert difference < 20


@pytest.mark.usefixtures("short")
def test_a_tile_can_be_chosen(tmp_path: Path) -> None:
    explained = tiny_explained(size=(100, 200), tiling=Tiling(100, 0.2))
    write_film(explained, tmp_path / "film.gif", part=1)
    with Image.open(tmp_path / "film.gif") as found:
        assert found.width == 200
        assert pixels_of(found.convert("RGB").crop((0, 195, 200, 200)), (255, 255, 255)) == 0


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"E125 film\.avi: a film is a \.gif or an \.mp4 file"):
        write_film(tiny_explained(), tmp_path / "film.avi")
    assert list(tmp_path.iterdir()) == []


def test_without_opencv_one_line_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'faster-rcnn\[proposals\]'"):
        write_film(tiny_explained(), tmp_path / "film.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("short")
def test_without_opencv_the_gif_is_written_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    caplog.set_level("INFO", "faster_rcnn")
    assert write_films(tiny_explained(), tmp_path / "a.b") == (tmp_path / "a.b.gif",)
    assert [each.name for each in tmp_path.iterdir()] == ["a.b.gif"]
    assert "a.b.mp4 is not written: this needs the package" in caplog.text
