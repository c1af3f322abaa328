"""What ``faster-rcnn predict`` does with each image: a line of JSON, a picture, a count; in one process or in several.

Several processes take every ``count``-th image each and draw the pictures of their own images. The first process writes
the lines of all, in the order of the images, and shows the warnings and the summary.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from faster_rcnn.cli.outputs import STDOUT, json_lines
from faster_rcnn.errors import ImageError
from faster_rcnn.inference.limits import Conf
from faster_rcnn.inference.pictures import PictureFolder
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.result import Prediction
from faster_rcnn.inference.saving import CROPS, Saver
from faster_rcnn.inference.sources import Sources, is_pipe
from faster_rcnn.system.console import say, warn
from faster_rcnn.system.distributed import Processes
from faster_rcnn.system.progress import displaying, progress
from faster_rcnn.system.rounds import take_in_order
from faster_rcnn.system.wording import count_of


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where the detections go."""

    pictures: PictureFolder | None
    json: str | None
    """The file of JSON lines, or ``-``."""
    saver: Saver | None = None
    """Writes other formats."""


@dataclass(frozen=True, slots=True)
class _Done:
    """What became of one image, as the first process receives it."""

    warning: str
    """Why the image could not be read or drawn; empty where neither failed."""
    is_read: bool
    detections: int
    line: dict[str, Any] | None
    """The object of the JSON lines, where they are written."""


@dataclass(slots=True)
class Tally:
    """Counts of the images of all processes; in the first process."""

    images: int = 0
    detections: int = 0
    unreadable: int = 0
    undrawn: int = 0

    @property
    def has_failures(self) -> bool:
        """Whether an image could not be read or drawn."""
        return self.unreadable + self.undrawn > 0

    def add(self, done: _Done) -> None:
        """Count one image."""
        self.images += done.is_read
        self.unreadable += not done.is_read
        self.undrawn += done.is_read and done.warning != ""
        self.detections += done.detections


def predict_all(
    predictor: Predictor, found: Sources, conf: Conf, max_det: int | None, outputs: Outputs, processes: Processes
) -> Tally:
    """Predict, draw and write image by image, and print a summary; all processes call it together."""
    tally, start, total = Tally(), time.monotonic(), len(found.names)
    with ExitStack() as open_files:
        write: Callable[[object], None] | None = None
        if outputs.json is not None and processes.is_first:
            write = open_files.enter_context(json_lines(outputs.json))
        if _on_one_terminal(outputs.json):
            open_files.enter_context(displaying(None))
        meter = open_files.enter_context(progress("images", total))

        def take(done: _Done) -> None:
            tally.add(done)
            if done.warning:
                warn(done.warning)
            if write is not None and done.line is not None:
                write(done.line)
            if outputs.saver is not None and done.line is not None:
                outputs.saver.add(done.line)
            meter.advance()

        take_in_order(_each(predictor, found, conf, max_det, outputs, processes), total, processes, take)
    seconds = time.monotonic() - start
    if outputs.saver is not None and processes.is_first:
        for note in outputs.saver.finish():
            warn(note)
    _say_summary(tally, seconds, outputs)
    return tally


def _on_one_terminal(json: str | None) -> bool:
    """Whether the JSON lines appear on the terminal on which a bar would be drawn."""
    return json == STDOUT and sys.stdout.isatty() and sys.stderr.isatty()


def _each(
    predictor: Predictor, found: Sources, conf: Conf, max_det: int | None, outputs: Outputs, processes: Processes
) -> Iterator[_Done]:
    """What becomes of each image of this process; its picture is written by then."""
    own = replace(found, names=tuple(processes.share(found.names)))
    outcomes = predictor.predict_each(own.images(), conf, max_det)
    for number in processes.share(range(len(found.names))):
        one = next(outcomes)
        done = _done(number, found.names[number], one, outputs)
        del one  # its pixels are not held while the next image is read
        yield done


def _done(number: int, name: str, one: Prediction | ImageError, outputs: Outputs) -> _Done:
    if isinstance(one, ImageError):
        warning = f"{one}; {'what was piped in' if is_pipe(name) else 'it'} is left out"
        return _Done(warning, is_read=False, detections=0, line=None)
    warning = ""
    if outputs.pictures is not None:
        try:
            outputs.pictures.save(number, one)
        except ImageError as error:
            warning = str(error)
    if outputs.saver is not None and CROPS in outputs.saver.formats:
        outputs.saver.save_crops(number, one)
    line = None
    if outputs.json is not None or outputs.saver is not None:
        line = one.result.to_json()
        line = line if line["image"] is not None else {**line, "image": name}
    return _Done(warning, is_read=True, detections=len(one.result), line=line)


def _say_summary(tally: Tally, seconds: float, outputs: Outputs) -> None:
    pictures, json = outputs.pictures, outputs.json
    parts = [f"{count_of(tally.images, 'image')}, {count_of(tally.detections, 'detection')}"]
    if tally.images:
        parts[0] += f", {seconds / tally.images:.3f} s per image"
    if tally.unreadable:
        parts.append(f"{count_of(tally.unreadable, 'file')} could not be read, see above")
    if tally.undrawn:
        parts.append(f"{count_of(tally.undrawn, 'picture')} could not be drawn, see above")
    if pictures is not None and tally.images > tally.undrawn:
        replaced = f", {pictures.replaced} of an earlier run replaced" if pictures.replaced else ""
        parts.append(f"pictures with boxes in {pictures.folder}{replaced}")
    if json is not None and json != STDOUT:
        parts.append(f"JSON lines in {json}")
    if outputs.saver is not None:
        parts.append(f"{', '.join(outputs.saver.formats)} in {outputs.saver.folder}")
    say("; ".join(parts))
