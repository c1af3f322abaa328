"""``faster-rcnn predict``: objects in images, as pictures with boxes and as JSON lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from faster_rcnn.cli.order import refuse_swapped
from faster_rcnn.cli.outputs import STDOUT, json_lines, model_file, require_folder, require_json
from faster_rcnn.errors import ImageError, OptionError
from faster_rcnn.inference.choice import Choice
from faster_rcnn.inference.external_proposals import proposals_by_name
from faster_rcnn.inference.limits import refuse_limits
from faster_rcnn.inference.loading import _count, load_predictor, refuse_without_second_stage, say_tiles
from faster_rcnn.inference.pictures import DEFAULT_FOLDER, PictureFolder
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.result import Seen
from faster_rcnn.inference.sources import STDIN, Sources, find_images, is_pipe
from faster_rcnn.inference.tiles import tiling_of
from faster_rcnn.proposals.file import load_proposals
from faster_rcnn.system.console import say, warn
from faster_rcnn.system.numbering import first_free
from faster_rcnn.system.progress import counted


@dataclass(slots=True)
class _Tally:
    """What has been done so far."""

    images: int = 0
    detections: int = 0
    unreadable: int = 0
    undrawn: int = 0


def run(
    model: str,
    sources: Sequence[str],
    *,
    conf: float,
    max_det: int | None,
    precision: str,
    out: Path | None,
    json: str | None,
    proposals: Path | None = None,
    tile: int | None = None,
    overlap: float | None = None,
    choice: Choice = Choice(),  # noqa: B008  # it is frozen
    device: str = "auto",
) -> int:
    """Look at all images; returns 2 if one of them, or a whole source, could not be used, else 0."""
    refuse_swapped("predict", model, sources)
    refuse_limits(conf, max_det)
    tiling = tiling_of(tile, overlap)
    require_folder("--out", out)
    found = _found(sources)
    require_json(json, [model_file(model), proposals, *found.names])
    folder = first_free(Path(DEFAULT_FOLDER)) if out is None and json is None else out
    pictures = None if folder is None else PictureFolder(folder, found.names, json)
    if proposals is not None and (pipes := [name for name in found.names if is_pipe(name)]):
        raise OptionError(f"--proposals are found by an image's path, which {pipes[0]} does not have; give a file")
    predictor = _predictor(model, precision, device, proposals).in_tiles(tiling).choosing(choice)
    _say_limits(predictor, conf, max_det)
    say_tiles(predictor)
    tally, start = _Tally(), time.monotonic()
    with ExitStack() as open_files:
        write = None if json is None else open_files.enter_context(json_lines(json))
        outcomes = predictor.outcomes(found.images(), conf, max_det)
        for one in outcomes if _on_one_terminal(json) else counted(outcomes, "images", len(found.names)):
            _record(found.names, one, write, pictures, tally)
            del one  # its pixels are not held while the next image is read
    _say_summary(tally, time.monotonic() - start, pictures, json)
    return 2 if tally.unreadable or tally.undrawn or found.unused else 0


def _predictor(model: str, precision: str, device: str, proposals: Path | None) -> Predictor:
    predictor = load_predictor(model, precision, device)
    if proposals is not None:
        refuse_without_second_stage(predictor, model)
        file = load_proposals(proposals)
        predictor.proposals = proposals_by_name(file, predictor.config.detector.outside_proposals)
        say(f"proposals of {file.method} from {proposals}")
    return predictor


def _on_one_terminal(json: str | None) -> bool:
    """Whether the lines of JSON go where a bar would be drawn."""
    return json == STDOUT and sys.stdout.isatty() and sys.stderr.isatty()


def _found(sources: Sequence[str]) -> Sources:
    """The images; what was asked for and cannot be taken is told, and stops where there is no image at all."""
    found = find_images(sources)
    if not found.names:
        raise OptionError("; ".join(found.unused), code="E122")
    if STDIN in found.names and sys.stdin.isatty():
        raise OptionError("the source - is an image on standard input, where nothing is piped in", code="E122")
    for line in found.unused:
        warn(f"E122 {line}; the others are done")
    for note in found.notes:
        say(note)
    if found.repeats:
        say(f"{_count(found.repeats, 'image')} named more than once: each is done once")
    return found


def _say_limits(predictor: Predictor, conf: float, max_det: int | None) -> None:
    rpn, roi = predictor.config.rpn, predictor.config.roi
    floor, most = roi.score_floor, roi.max_detections
    if predictor.config.detector.kind == "rpn":
        floor, most = rpn.score_floor, rpn.proposals_after_nms
    if conf < floor:
        say(f"--conf {conf:g}: the model reports nothing below a score of {floor:g}, so neither is it here")
    if max_det is not None and max_det > most:
        part = "an image" if predictor.tiling is None else "a tile"
        say(f"--max-det {max_det}: the model reports at most {most} detections of {part}")


def _record(
    names: Sequence[str],
    one: Seen | ImageError,
    write: Callable[[object], None] | None,
    pictures: PictureFolder | None,
    tally: _Tally,
) -> None:
    """Write down what was found in the next image."""
    number = tally.images + tally.unreadable
    if isinstance(one, ImageError):
        tally.unreadable += 1
        warn(f"{one}; {'what was piped in' if is_pipe(names[number]) else 'it'} is left out")
        return
    tally.images += 1
    tally.detections += len(one.result)
    if write is not None:
        found = one.result.to_json()
        write(found if found["image"] is not None else {**found, "image": names[number]})
    if pictures is not None:
        try:
            pictures.save(number, one)
        except ImageError as error:
            tally.undrawn += 1
            warn(str(error))


def _say_summary(tally: _Tally, seconds: float, pictures: PictureFolder | None, json: str | None) -> None:
    parts = [f"{_count(tally.images, 'image')}, {_count(tally.detections, 'detection')}"]
    if tally.images:
        parts[0] += f", {seconds / tally.images:.3f} s per image"
    if tally.unreadable:
        parts.append(f"{_count(tally.unreadable, 'file')} could not be read, see above")
    if tally.undrawn:
        parts.append(f"{_count(tally.undrawn, 'picture')} could not be drawn, see above")
    if pictures is not None and tally.images > tally.undrawn:
        replaced = f", {pictures.replaced} of an earlier run replaced" if pictures.replaced else ""
        parts.append(f"pictures with boxes in {pictures.folder}{replaced}")
    if json is not None and json != "-":
        parts.append(f"JSON lines in {json}")
    say("; ".join(parts))
