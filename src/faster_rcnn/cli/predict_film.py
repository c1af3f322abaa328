"""``faster-rcnn predict`` with films and cameras: a line of JSON for each frame, and films with boxes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from faster_rcnn.cli.order import refuse_swapped
from faster_rcnn.cli.outputs import STDOUT, json_lines, model_file, refuse_same_file, require_folder, require_json
from faster_rcnn.cli.predict_options import PredictOptions, load_predictor, refuse_given, refuse_torchrun
from faster_rcnn.errors import FasterRCNNError, OptionError
from faster_rcnn.films.names import CAMERA, films_among, is_film
from faster_rcnn.inference.limits import refuse_limits
from faster_rcnn.system.console import say, warn
from faster_rcnn.system.numbering import first_free
from faster_rcnn.system.progress import progress
from faster_rcnn.system.wording import count_of

if TYPE_CHECKING:
    from faster_rcnn.errors import ImageError
    from faster_rcnn.films.film import Film
    from faster_rcnn.films.reader import FilmTally
    from faster_rcnn.films.writer import FilmWriter
    from faster_rcnn.inference.predictor import Predictor
    from faster_rcnn.inference.result import Prediction

PICTURES_AHEAD = 2
"""Frames that are drawn and encoded while the detector is at later ones."""


@dataclass(frozen=True, slots=True)
class FilmOutputs:
    """Where the results of all films go."""

    out: Path | None
    """Folder of the films with boxes; without it and ``json`` a new one is made."""
    json: str | None
    """File of JSON lines, or ``-``."""


@dataclass(slots=True)
class _Pass:
    """What became of the frames of one film."""

    tally: FilmTally
    frames: int = 0
    """Frames that were predicted."""
    detections: int = 0
    failed: int = 0
    """Frames that were decoded, and could not be predicted."""
    seconds: float = 0.0
    interruption: KeyboardInterrupt | None = field(default=None)
    """How the user ended a camera."""

    @property
    def has_failures(self) -> bool:
        """Whether a frame was lost."""
        return bool(self.tally.faults) or self.failed > 0


def takes_films(source: Sequence[str], every: int | None) -> bool:
    """Whether the sources are films or cameras; raises ``OptionError`` for ``--every`` with images alone."""
    if any(map(is_film, source)):
        return True
    if every is not None:
        raise OptionError(
            f"--every {every} is for films, such as film.mp4 and {CAMERA}0; {source[0]} is none: leave it out",
            code="E125",
        )
    return False


def predict_films(
    model: str,
    source: Sequence[str],
    options: PredictOptions,
    outputs: FilmOutputs,
    device: str,
    every: int | None,
    refused: Mapping[str, object],
) -> int:
    """Predict the frames of films, one film after the other; returns the exit code.

    Args:
        model: model file, run folder or published name.
        source: films and cameras.
        options: what changes results.
        outputs: where these go.
        device: the device that computes.
        every: every so many frames one is predicted; ``None`` for all.
        refused: values of options that make no sense for films, by their names.
    """
    from faster_rcnn.inference.pictures import DEFAULT_FOLDER

    names, json = films_among(source), outputs.json
    _refuse_options(names, refused)
    refuse_swapped("predict", model, names)
    refuse_limits(options.conf, options.max_det)
    require_folder("--out", outputs.out)
    require_json(json, [model_file(model), *names])
    films, unused = _opened(names, 1 if every is None else every)
    targets = _targets(outputs.out or (first_free(Path(DEFAULT_FOLDER)) if json is None else None), films)
    for target in targets:
        refuse_same_file({"--out": target, "--json": json})
    predictor = load_predictor(model, options, device)
    with json_lines(json) if json is not None else nullcontext() as write:
        passes = [
            _predict_film(predictor, film, target, options, write) for film, target in zip(films, targets, strict=True)
        ]
    if json is not None and json != STDOUT:
        say(f"JSON lines in {json}")
    for each in passes:
        if each.interruption is not None:
            raise each.interruption
    return 2 if unused or any(each.has_failures for each in passes) else 0


def _refuse_options(names: Sequence[str], refused: Mapping[str, object]) -> None:
    refuse_given(refused, f"is for images, and {names[0]} is a film")
    refuse_torchrun(f"{names[0]} is decoded from its beginning on, by one process")
    if len(names) > 1 and any(name.startswith(CAMERA) for name in names):
        raise OptionError("a camera does not end by itself; predict it alone", code="E125")


def _opened(names: Sequence[str], every: int) -> tuple[list[Film], int]:
    """The films that can be read, and the number of others, each with a warning; raises where there is no film."""
    from faster_rcnn.films.film import Film

    films: list[Film] = []
    errors: list[FasterRCNNError] = []
    for name in names:
        try:
            films.append(Film(name, every))
        except FasterRCNNError as error:
            errors.append(error)
    if not films:
        raise errors[0]
    for each in errors:
        warn(f"{each}; it is left out")
    return films, len(errors)


def _targets(folder: Path | None, films: Sequence[Film]) -> list[Path | None]:
    """The film with boxes of each film; raises ``OptionError`` where one is there already (E132)."""
    if folder is None:
        return [None] * len(films)
    targets: list[Path | None] = []
    for film in films:
        stem = film.name.replace(":", "-") if film.camera is not None else Path(film.name).stem
        target = _film(first_free(folder / stem, lambda path: _film(path) in targets))
        if os.path.lexists(target):
            raise OptionError(
                f"--out {folder}: {target} is there already; remove it, or name another folder", code="E132"
            )
        targets.append(target)
    return targets


def _film(path: Path) -> Path:
    return path.with_name(f"{path.name}.mp4")


def _predict_film(
    predictor: Predictor,
    film: Film,
    target: Path | None,
    options: PredictOptions,
    write: Callable[[object], None] | None,
) -> _Pass:
    """Predict the frames of one film, write what is asked for, and print a summary.

    Ctrl-C is how a camera ends: what was predicted is written first.
    """
    from faster_rcnn.films.reader import FilmTally
    from faster_rcnn.films.writer import written_film

    done, start = _Pass(FilmTally()), time.monotonic()
    with ExitStack() as opened:
        writer = None if target is None else opened.enter_context(written_film(target, film.rate))
        meter = opened.enter_context(progress("frames", film.expected))
        frames = opened.enter_context(closing(film.frames(done.tally)))  # releases a camera that Ctrl-C ends
        outcomes = predictor.predict_each(frames, options.conf, options.max_det)
        drawn = opened.enter_context(closing(_drawn(outcomes, writer)))
        try:
            for one in drawn:
                _take(one, done, write)
                meter.advance()
                del one
        except KeyboardInterrupt as interruption:
            if film.camera is None:
                raise
            done.interruption = interruption
    done.seconds = time.monotonic() - start
    _say_summary(film, target, done)
    return done


def _drawn(
    outcomes: Iterable[Prediction | ImageError], writer: FilmWriter | None
) -> Generator[Prediction | ImageError]:
    """The same outcomes; pictures with boxes are drawn and encoded in a thread while later frames are predicted."""
    from faster_rcnn.inference.prefetch import map_prefetched
    from faster_rcnn.inference.result import Prediction

    def draw(one: Prediction | ImageError) -> Prediction | ImageError:
        if isinstance(one, Prediction) and writer is not None:
            assert one.result.frame is not None
            writer.write(one.result.drawn_on(one.pixels), one.result.frame.time)
        return one

    yield from outcomes if writer is None else map_prefetched(outcomes, draw, PICTURES_AHEAD)


def _take(one: Prediction | ImageError, done: _Pass, write: Callable[[object], None] | None) -> None:
    from faster_rcnn.errors import ImageError

    if isinstance(one, ImageError):
        warn(f"{one}; it is left out")
        done.failed += 1
        return
    done.frames += 1
    done.detections += len(one.result)
    if write is not None:
        write(one.result.to_json())


def _say_summary(film: Film, target: Path | None, done: _Pass) -> None:
    parts = [f"{film.name}: {count_of(done.frames, 'frame')}, {count_of(done.detections, 'detection')}"]
    if done.frames and done.seconds:
        parts[0] += f", {done.frames / done.seconds:.1f} frames per second"
        if film.facts is not None:
            parts[0] += f", real-time factor {_played(film, done.tally) / done.seconds:.2f}"
    if done.failed:
        parts.append(f"{count_of(done.failed, 'frame')} could not be predicted, see above")
    if done.tally.broken:
        parts.append(f"{count_of(len(done.tally.broken), 'frame')} could not be decoded, see above")
    if done.tally.skipped:
        parts.append(f"{count_of(done.tally.skipped, 'frame')} skipped, as the camera is faster than the detector")
    if target is not None and done.frames:
        parts.append(f"film with boxes in {target}")
    say("; ".join(parts))


def _played(film: Film, tally: FilmTally) -> float:
    """Seconds that the frames take when the film is played."""
    assert film.facts is not None
    return tally.end + 1 / film.facts.rate
