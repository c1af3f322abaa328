"""The command ``faster-rcnn predict``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from faster_rcnn.cli.options import Integer, JsonOut, Precision, Settings, Switch, announce_work
from faster_rcnn.cli.order import refuse_swapped
from faster_rcnn.cli.outputs import STDOUT, json_lines, model_file, require_folder, require_json
from faster_rcnn.cli.predict_ray import Cluster, RayOptions, predict_with_ray
from faster_rcnn.errors import ImageError, OptionError
from faster_rcnn.inference.limits import refuse_limits
from faster_rcnn.inference.sources import STDIN, Sources, is_pipe, require_images
from faster_rcnn.system.console import say, warn
from faster_rcnn.system.numbering import first_free
from faster_rcnn.system.progress import counted
from faster_rcnn.system.wording import count_of

if TYPE_CHECKING:
    from faster_rcnn.inference.pictures import PictureFolder
    from faster_rcnn.inference.predictor import Predictor
    from faster_rcnn.inference.result import Prediction


def predict(
    model: str,
    source: Annotated[list[str], Parameter(required=True)],
    /,
    *,
    conf: float = 0.5,
    max_det: Integer | None = None,
    tile: Integer | None = None,
    overlap: float | None = None,
    classes: str | None = None,
    iou: float | None = None,
    agnostic_nms: Switch = False,
    precision: Precision = "auto",
    device: str = "auto",
    proposals: Path | None = None,
    settings: Settings = None,
    out: Path | None = None,
    json: JsonOut = None,
    engine: Literal["ray"] | None = None,
    address: str | None = None,
) -> int:
    """Find objects in images, and draw them or write them as JSON lines.

    Args:
        model: Model file, run folder or published name.
        source: Image files, folders, patterns such as 'photos/*.jpg', or - for an image on standard input.
        conf: Lowest score that is reported.
        max_det: Most detections of one image; with --tile the only limit, as the model's own is then each tile's.
        tile: Detect in larger images by square tiles of this many of their pixels, and once in the whole image.
        overlap: Share of a tile's side that its neighbour covers too; by default 0.2. Objects smaller than the
            overlap are whole in some tile.
        classes: Names of the classes that are reported, as a,b,c.
        iou: NMS threshold of the second stage, in place of the model's own.
        agnostic_nms: Let NMS compare detections of different classes too.
        precision: Number format of convolutions and matrix products; auto is the fastest one.
        device: Device that computes: auto, cpu, cuda or cuda:N.
        proposals: File of proposals for the second stage; without it a Fast R-CNN runs selective search itself.
        settings: Settings of inference in place of the model's own, as section.key=value, such as
            rpn.proposals_after_nms=500; several may follow. --iou wins over roi.nms_iou, and --conf and --max-det are
            limits besides the model's.
        out: Folder for pictures with their boxes; by default, unless --json is given, a new folder predictions.
        json: File for one JSON object per image; - for standard output.
        engine: ray predicts many images on all processors or machines of a Ray cluster into Parquet files in --out, and
            goes on where an earlier run was stopped. Sources may be addresses such as s3://photos/2024, too.
        address: Address of a running Ray cluster, or auto; by default one is started on this machine.
    """
    announce_work(f"predicting with {model}")
    if engine == "ray":
        options = RayOptions(conf, max_det, tile, overlap, classes, iou, agnostic_nms, precision, settings)
        refused = {"--json": json, "--proposals": proposals}
        return predict_with_ray(model, source, options, out=out, cluster=Cluster(address, device), refused=refused)
    if address is not None:
        raise OptionError(f"--address {address} is that of a Ray cluster; give --engine ray, too, or leave it out")
    from faster_rcnn.inference.choice import choice_of
    from faster_rcnn.inference.external_proposals import file_source
    from faster_rcnn.inference.loading import load_detector, log_tiles
    from faster_rcnn.inference.pictures import DEFAULT_FOLDER, PictureFolder
    from faster_rcnn.inference.predictor import Predictor
    from faster_rcnn.inference.tiles import tiling_of

    choice = choice_of(classes, iou, agnostic_nms)
    refuse_swapped("predict", model, source)
    refuse_limits(conf, max_det)
    tiling = tiling_of(tile, overlap)
    require_folder("--out", out)
    found = _found(source)
    require_json(json, [model_file(model), proposals, *found.names])
    folder = first_free(Path(DEFAULT_FOLDER)) if out is None and json is None else out
    pictures = None if folder is None else PictureFolder(folder, found.names, json)
    _refuse_pipes(proposals, found)
    detector = load_detector(model, precision, device, settings)
    source_of_proposals = None if proposals is None else file_source(detector, proposals, model)
    predictor = Predictor(detector, proposals=source_of_proposals, tiling=tiling, choice=choice)
    _say_limits(predictor, conf, max_det)
    log_tiles(detector, tiling)
    tally = _write_all(predictor, found, conf, max_det, pictures, json)
    return 2 if tally.unreadable or tally.undrawn or found.unused else 0


@dataclass(slots=True)
class _Tally:
    """Counts of what has been done so far."""

    images: int = 0
    detections: int = 0
    unreadable: int = 0
    undrawn: int = 0


def _found(source: Sequence[str]) -> Sources:
    """The images of all sources, and messages about what lies beside them."""
    found = require_images(source, "predicted")
    if STDIN in found.names and sys.stdin.isatty():
        raise OptionError("the source - is an image on standard input, where nothing is piped in", code="E122")
    for note in found.notes:
        say(note)
    if found.repeats:
        say(f"{count_of(found.repeats, 'image')} named more than once: each is predicted once")
    return found


def _refuse_pipes(proposals: Path | None, found: Sources) -> None:
    """Raise ``OptionError`` for an image without a path, by which proposals are found."""
    if proposals is not None and (pipes := [name for name in found.names if is_pipe(name)]):
        raise OptionError(f"--proposals are found by an image's path, which {pipes[0]} does not have; give a file")


def _say_limits(predictor: Predictor, conf: float, max_det: int | None) -> None:
    """Name the model's own limits where the options ask for more than these."""
    rpn, roi = predictor.config.rpn, predictor.config.roi
    min_score, max_detections = roi.score_floor, roi.max_detections
    if predictor.config.detector.kind == "rpn":
        min_score, max_detections = rpn.score_floor, rpn.proposals_after_nms
    if conf < min_score:
        say(f"--conf {conf:g}: the model itself reports no score below {min_score:g}")
    if max_det is not None and max_det > max_detections:
        part = "an image" if predictor.tiling is None else "a tile"
        say(f"--max-det {max_det}: the model reports at most {max_detections} detections of {part}")


def _write_all(
    predictor: Predictor,
    found: Sources,
    conf: float,
    max_det: int | None,
    pictures: PictureFolder | None,
    json: str | None,
) -> _Tally:
    """Predict, draw and write image by image, and print a summary."""
    tally, start = _Tally(), time.monotonic()
    with ExitStack() as open_files:
        write = None if json is None else open_files.enter_context(json_lines(json))
        outcomes = predictor.predict_each(found.images(), conf, max_det)
        for one in outcomes if _on_one_terminal(json) else counted(outcomes, "images", len(found.names)):
            _record(found.names, one, write, pictures, tally)
            del one  # its pixels are not held while the next image is read
    _say_summary(tally, time.monotonic() - start, pictures, json)
    return tally


def _on_one_terminal(json: str | None) -> bool:
    """Whether the JSON lines appear on the terminal on which a bar would be drawn."""
    return json == STDOUT and sys.stdout.isatty() and sys.stderr.isatty()


def _record(
    names: Sequence[str],
    one: Prediction | ImageError,
    write: Callable[[object], None] | None,
    pictures: PictureFolder | None,
    tally: _Tally,
) -> None:
    """Write the detections of the next image, and count them."""
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
    say("; ".join(parts))
