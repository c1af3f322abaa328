from __future__ import annotations

import multiprocessing
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faster_rcnn.errors import ImageError, OptionError
from faster_rcnn.films.reader import DEFAULT_RATE, FilmReader, FilmTally
from faster_rcnn.inference.frame import Frame
from faster_rcnn.structures import ImageSize
from made_films import RATE, cv2, damaged, decoded, film_file, truncated


def read_all(path: Path, every: int = 1) -> tuple[list[Frame], FilmTally]:
    tally = FilmTally()
    with closing(FilmReader(path, every, tally)) as reader:
        frames = list(iter(reader.read, None))
        assert reader.read() is None
    return frames, tally


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.webm", "a.mkv"])
def test_every_frame_comes_once_in_order_with_its_time(name: str, tmp_path: Path) -> None:
    frames, tally = read_all(film_file(tmp_path / name))
    assert [frame.number for frame in frames] == list(range(12))
    assert [frame.time for frame in frames] == pytest.approx([number / RATE for number in range(12)])
    assert {frame.film for frame in frames} == {str(tmp_path / name)}
    for frame, expected in zip(frames, decoded(tmp_path / name), strict=True):
        np.testing.assert_array_equal(frame.pixels, expected)
    assert (tally.passed, len(tally.broken)) == (12, 0)
    assert tally.end == pytest.approx(11 / RATE)
    assert tally.gap[1] - tally.gap[0] == pytest.approx(1 / RATE)


@pytest.mark.parametrize(("every", "numbers"), [(2, [0, 2, 4, 6, 8, 10]), (5, [0, 5, 10]), (100, [0])])
def test_every_so_many_frames_one(every: int, numbers: list[int], tmp_path: Path) -> None:
    frames, tally = read_all(film_file(tmp_path / "a.mp4"), every)
    assert [frame.number for frame in frames] == numbers
    assert tally.passed == 12
    for frame in frames:
        np.testing.assert_array_equal(frame.pixels, decoded(tmp_path / "a.mp4")[frame.number])


def test_frames_that_cannot_be_decoded_keep_their_numbers(tmp_path: Path) -> None:
    frames, tally = read_all(damaged(film_file(tmp_path / "a.mp4", frames=30)))
    numbers = [frame.number for frame in frames]
    assert tally.broken
    assert sorted([*numbers, *tally.broken]) == list(range(30))
    assert numbers[-1] == 29  # frames after the broken ones are decoded
    assert [frame.time for frame in frames] == pytest.approx([number / RATE for number in numbers])
    assert tally.passed == len(frames)


def test_a_frame_that_cannot_be_converted_is_broken(tmp_path: Path) -> None:
    class Capture:
        """The third frame is decoded and gives no pixels."""

        def __init__(self, real: Any) -> None:
            self.real, self.taken = real, 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

        def retrieve(self) -> tuple[bool, Any]:
            self.taken += 1
            return (False, None) if self.taken == 3 else self.real.retrieve()

    tally = FilmTally()
    with closing(FilmReader(film_file(tmp_path / "a.mp4"), 1, tally)) as reader:
        reader._capture = Capture(reader._capture)
        assert [frame.number for frame in iter(reader.read, None)] == [0, 1, *range(3, 12)]
    assert (tally.broken, tally.passed) == ([2], 11)


def test_facts_are_those_of_the_file(tmp_path: Path) -> None:
    with closing(FilmReader(film_file(tmp_path / "a.mp4", rate=50), 1, FilmTally())) as reader:
        facts = reader.facts
    assert (facts.size, facts.rate, facts.frames) == (ImageSize(64, 96), 50, 12)
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((20, 30, 3), np.uint8))
    (tmp_path / "b.png").rename(tmp_path / "b.mp4")  # a film of one frame for FFmpeg, without a number of frames
    with closing(FilmReader(tmp_path / "b.mp4", 1, FilmTally())) as reader:
        assert (reader.facts.frames, reader.facts.rate) == (None, DEFAULT_RATE)
        assert [frame.time for frame in iter(reader.read, None)] == [0.0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "it is empty"), (b"no film" * 99, "it is no film, has no frames, is damaged, or is of a kind that OpenCV")],
)
def test_what_is_no_film_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(ImageError, match=rf"^E105 cannot decode .*a\.mp4: {reason}"):
        FilmReader(tmp_path / "a.mp4", 1, FilmTally())


def test_an_mp4_without_its_end_is_refused_with_its_size(tmp_path: Path) -> None:
    film = truncated(film_file(tmp_path / "a.mp4"))
    with pytest.raises(
        ImageError, match=r"^E105 cannot decode .*: it is truncated, [0-9,]+ of [0-9,]+ bytes, and with"
    ):
        FilmReader(film, 1, FilmTally())


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    film_file(tmp_path / "street.mp4", frames=1)
    with pytest.raises(OptionError, match=r"^E122 there is no film '.*stret\.mp4'\. Nearby: street\.mp4$"):
        FilmReader(tmp_path / "stret.mp4", 1, FilmTally())
    with pytest.raises(OptionError, match=r"^E122 .* is a folder, a pipe or a device; a film is a file"):
        FilmReader(tmp_path, 1, FilmTally())


def test_a_process_that_is_forked_later_can_use_opencv(tmp_path: Path) -> None:
    """Processes of selective search are forked, and hang where OpenCV has started threads before."""
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("needs processes that are forked")
    program = (
        "import cv2, multiprocessing, sys\n"
        "from pathlib import Path\n"
        "from faster_rcnn.films.reader import FilmReader, FilmTally\n"
        "assert FilmReader(Path(sys.argv[1]), 1, FilmTally()).read() is not None\n"
        "child = multiprocessing.get_context('fork').Process(target=cv2.setNumThreads, args=(1,))\n"
        "child.start()\n"
        "child.join(60)\n"
        "child.kill()\n"
        "sys.exit(child.exitcode)\n"
    )
    command = [sys.executable, "-c", program, str(film_file(tmp_path / "a.mp4", width=640, height=480))]
    assert subprocess.run(command, check=False).returncode == 0
