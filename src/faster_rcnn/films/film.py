"""A film or a camera as images that follow each other: ``Detector.predict`` takes it as it takes any iterable."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from itertools import pairwise, repeat
from pathlib import Path

from faster_rcnn.errors import ImageError
from faster_rcnn.films.camera import CameraReader, open_camera
from faster_rcnn.films.names import camera_number
from faster_rcnn.films.reader import DEFAULT_RATE, FilmFacts, FilmReader, FilmTally
from faster_rcnn.inference.frame import Frame
from faster_rcnn.inference.given import path_given
from faster_rcnn.inference.limits import refuse_below_one
from faster_rcnn.inference.prefetch import map_prefetched
from faster_rcnn.system.wording import count_of

_LOG = logging.getLogger(__name__)

FRAMES_AHEAD = 4
"""Frames that are decoded before they are taken; one of 3840 x 2160 pixels takes 25 MB."""
LONG_GAP = 5
"""A gap of so many frames is reported, since some decoders skip damaged parts without an error."""


class Film:
    """The frames of a film or of a camera, decoded in a thread of their own.

    A film can be iterated over again and again. The ``frame`` of a result holds the number and the time.

    >>> for result in detector.predict(Film("street.mp4", every=5)):  # doctest: +SKIP
    ...     print(result.frame.time, result.names)
    """

    def __init__(self, source: str | Path, every: int = 1) -> None:
        """Open a film or a camera; of a film, read what its file announces, and decode the first frame.

        Args:
            source: file of the film, or a camera by its number, such as ``camera:0``.
            every: every so many frames one is given, the first one included.

        Raises:
            OptionError: there is no such file (E122), or ``every`` is no integer of 1 or more (E125).
            ImageError: the file is no film, holds no frame, or is damaged so that none can be decoded (E105).
            MissingExtraError: OpenCV is not installed.
            MachineError: there is no such camera.
        """
        refuse_below_one("every", every, "it is 1 for all frames, 2 for every second one")
        self.name = str(path_given("source", source))
        self.every = every
        self.camera = camera_number(self.name)
        """The number of the camera; ``None`` for a film."""
        self.facts = None if self.camera is not None else _facts_of(Path(self.name))
        """What the file announces; ``None`` for a camera."""
        self._capture = None if self.camera is None else open_camera(self.camera)

    def __iter__(self) -> Iterator[Frame]:
        return self.frames(FilmTally())

    def __repr__(self) -> str:
        return f"Film({self.name!r}, every={self.every})"

    @property
    def expected(self) -> int | None:
        """The number of frames that will be given, where the file announces it."""
        return None if self.facts is None or self.facts.frames is None else -(-self.facts.frames // self.every)

    @property
    def rate(self) -> float:
        """Frames per second of those that are given, where the file announces it; a usual number for a camera."""
        return (DEFAULT_RATE if self.facts is None else self.facts.rate) / self.every

    def frames(self, tally: FilmTally) -> Generator[Frame]:
        """The frames from the beginning on; what is lost is counted in ``tally``, and logged at the end.

        Raises ``MachineError`` where a camera is opened again, and cannot be.
        """
        if self.facts is None:
            yield from self._frames_of_camera(tally)
            tally.faults.append(f"{self.name} gives no more frames after {tally.end:.2f} s; was it unplugged?")
        else:
            yield from self._frames_of_file(tally)
            tally.faults.extend(_faults(self.name, self.facts, tally))
            _log_gap(self.name, self.facts, tally)
        for line in tally.faults:
            _LOG.warning(line)

    def _frames_of_file(self, tally: FilmTally) -> Iterator[Frame]:
        with ExitStack() as opened:
            reader = opened.enter_context(closing(FilmReader(Path(self.name), self.every, tally)))
            ahead = map_prefetched(repeat(reader), FilmReader.read, FRAMES_AHEAD)
            opened.push(closing(ahead))  # type: ignore[type-var]  # a generator, whose thread ends before the reader
            for frame in ahead:
                if frame is None:
                    break
                yield frame
                del frame  # it is not held while the next one is taken

    def _frames_of_camera(self, tally: FilmTally) -> Iterator[Frame]:
        assert self.camera is not None
        capture, self._capture = self._capture or open_camera(self.camera), None  # its reader releases it
        with closing(CameraReader(capture, self.name, self.every, tally)) as reader:
            yield from iter(reader.read, None)


def _facts_of(path: Path) -> FilmFacts:
    """What a film announces; raises ``ImageError`` where it holds no frame."""
    with closing(FilmReader(path, 1, FilmTally())) as reader:
        if reader.read() is None:
            raise ImageError(f"{path} holds no frame", code="E105")
        return reader.facts


def _faults(name: str, facts: FilmFacts, tally: FilmTally) -> Iterator[str]:
    """Lines on what a pass through a film could not decode."""
    broken, container = len(tally.broken), facts.container
    if broken:
        verb = "is" if broken == 1 else "are"
        ranges = _ranges(tally.broken)
        numbers = ", ".join([*ranges[:10], "..."] if len(ranges) > 10 else ranges)
        yield f"{name}: {count_of(broken, 'frame')} cannot be decoded and {verb} left out: {numbers}"
    missing = (facts.frames or 0) - tally.passed - broken
    if container.is_truncated:
        bytes_left = f"{container.size:,} of {container.announced:,} bytes"
        yield f"{name} is truncated, {bytes_left}: what comes after {tally.end:.2f} s is lost"
    elif container.is_avi and missing > 0:
        yield f"{name} is damaged: {missing} of the {facts.frames} frames that it announces are not in it"


def _log_gap(name: str, facts: FilmFacts, tally: FilmTally) -> None:
    """Log a gap between two frames, which is damage or is meant: some recordings leave out frames without motion."""
    start, end = tally.gap
    if not tally.broken and (end - start) * facts.rate > LONG_GAP:
        _LOG.info(f"{name}: there is no frame between {start:.2f} s and {end:.2f} s, its longest gap")


def _ranges(numbers: list[int]) -> list[str]:
    """Sorted numbers as text, neighbours joined.

    >>> _ranges([3, 7, 8, 9, 12])
    ['3', '7-9', '12']
    """
    if not numbers:
        return []
    breaks = [place for place, (one, other) in enumerate(pairwise(numbers), 1) if other != one + 1]
    parts = [numbers[start:end] for start, end in pairwise([0, *breaks, len(numbers)])]
    return [str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts]
