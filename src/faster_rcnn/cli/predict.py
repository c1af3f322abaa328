"""The command ``faster-rcnn predict``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from faster_rcnn.cli.options import Integer, JsonOut, Precision, Settings, Switch, announce_work
from faster_rcnn.cli.order import refuse_swapped
from faster_rcnn.cli.outputs import model_file, refuse_same_file, require_folder, require_json
from faster_rcnn.cli.predict_film import FilmOutputs, predict_films, takes_films
from faster_rcnn.cli.predict_options import PredictOptions, load_predictor
from faster_rcnn.cli.predict_ray import Cluster, predict_with_ray
from faster_rcnn.cli.several import digest_of, refuse_other_inputs
from faster_rcnn.errors import OptionError
from faster_rcnn.inference.limits import Conf, refuse_limits
from faster_rcnn.inference.sources import STDIN_NAMES, Sources, is_pipe, require_images
from faster_rcnn.system.console import say
from faster_rcnn.system.numbering import first_free
from faster_rcnn.system.wording import count_of

if TYPE_CHECKING:
    from faster_rcnn.system.distributed import Processes


def predict(
    model: str,
    source: Annotated[list[str], Parameter(required=True)],
    /,
    *,
    conf: Conf = 0.5,
    max_det: Integer | None = None,
    tile: Integer | None = None,
    overlap: float | None = None,
    classes: str | None = None,
    iou: float | None = None,
    agnostic_nms: Switch = False,
    batch: Integer | None = None,
    precision: Precision = "auto",
    device: str = "auto",
    proposals: Path | None = None,
    settings: Settings = None,
    out: Path | None = None,
    json: JsonOut = None,
    save: str | None = None,
    every: Integer | None = None,
    engine: Literal["ray"] | None = None,
    address: str | None = None,
) -> int:
    """Find objects in images, and draw them or write them as JSON lines.

    Args:
        model: Model file, run folder, exported file or published name.
        source: Image files, folders, patterns such as 'photos/*.jpg', or - for an image or paths, one a line, on
            standard input; or films, and camera:0 for a camera, which Ctrl-C ends.
        conf: Lowest score that is reported; or auto, by which each class has the threshold of its best F1 on the
            validation images, or a target such as precision=0.95 or recall=0.9.
        max_det: Most detections of one image; with --tile the only limit, as the model's own is then each tile's.
        tile: Detect in larger images by square tiles of this many of their pixels, and once in the whole image.
        overlap: Share of a tile's side that its neighbour covers too; by default 0.2. Objects smaller than the
            overlap are whole in some tile.
        classes: Names of the classes that are reported, as a,b,c.
        iou: NMS threshold of the second stage, in place of the model's own.
        agnostic_nms: Let NMS compare detections of different classes too.
        batch: Most images that are detected together; by default 1 on a CPU and 8 on a GPU.
        precision: Number format of convolutions and matrix products; auto is the fastest one.
        device: Device that computes: auto, cpu, cuda or cuda:N.
        proposals: File of proposals for the second stage; without it a Fast R-CNN runs selective search itself.
        settings: Settings of inference in place of the model's own, as section.key=value, such as
            rpn.proposals_after_nms=500; several may follow. --iou wins over roi.nms_iou, and --conf and --max-det are
            limits besides the model's.
        out: Folder for pictures with their boxes; by default, unless --json is given alone, a new folder predictions.
        json: File for one JSON object per image; - for standard output.
        save: Formats that are written into --out beside the pictures, as a,b,c: coco, yolo, voc and csv are data sets
            with copies of the images; label-studio and cvat are files of these tools; crops are pictures of the boxes.
        every: Take every so many frames of a film or camera one.
        engine: ray predicts many images on all processors or machines of a Ray cluster into Parquet files in --out, and
            goes on where an earlier run was stopped. Sources may be addresses such as s3://photos/2024, too.
        address: Address of a running Ray cluster, or auto; by default one is started on this machine.
    """
    announce_work(f"predicting with {model}")
    options = PredictOptions(conf, max_det, tile, overlap, classes, iou, agnostic_nms, precision, settings)
    if takes_films(source, every):
        of_images = {"--proposals": proposals, "--save": save, "--batch": batch}
        refused = {**of_images, "--engine": engine, "--address": address}
        return predict_films(model, source, options, FilmOutputs(out, json), device, every, refused)
    if engine == "ray":
        refused = {"--json": json, "--proposals": proposals, "--save": save, "--batch": batch}
        return predict_with_ray(model, source, options, out=out, cluster=Cluster(address, device), refused=refused)
    if address is not None:
        raise OptionError(f"--address {address} is that of a Ray cluster; give --engine ray, too, or leave it out")
    from faster_rcnn.cli.predicted import Outputs, predict_all
    from faster_rcnn.inference.pictures import DEFAULT_FOLDER, PictureFolder
    from faster_rcnn.inference.saving import formats_of, places_of, saver_for
    from faster_rcnn.system.agreement import refuse_differing
    from faster_rcnn.system.distributed import joined

    with joined() as processes:
        processes.together(partial(refuse_limits, conf, max_det, batch))
        formats = processes.together(partial(formats_of, save))
        found = processes.together(partial(_inputs, processes, model, source, proposals, out, json))
        refuse_differing(processes, {"the names of the images": digest_of(found.names)})
        is_named = out is not None or (json is not None and not formats)
        folder = processes.from_first(out if is_named else first_free(Path(DEFAULT_FOLDER)))
        pictures = None if folder is None else processes.together(partial(PictureFolder, folder, found.names, json))
        predictor = processes.together(partial(load_predictor, model, options, device, batch, proposals, processes))
        chosen = conf, max_det, tile, overlap, classes, iou, agnostic_nms, batch, settings
        refuse_other_inputs(processes, model, predictor.detector, [proposals], *chosen)
        processes.together(lambda: refuse_same_file({**places_of(folder, formats), "--json": json}))
        saver = processes.together(lambda: saver_for(folder, formats, found.names, predictor.classes))
        tally = predict_all(predictor, found, conf, max_det, Outputs(pictures, json, saver), processes)
        return processes.from_first(2 if tally.has_failures or found.unused else 0)


def _inputs(
    processes: Processes, model: str, source: Sequence[str], proposals: Path | None, out: Path | None, json: str | None
) -> Sources:
    """The images of all sources; what cannot be read or written is refused before the work begins."""
    refuse_swapped("predict", model, source)
    if processes.is_first:  # the check makes folders and removes them: it is not made by several at a time
        require_folder("--out", out)
    found = _found(source, processes)
    if processes.is_first:
        require_json(json, [model_file(model), proposals, *found.names])
    _refuse_pipes(proposals, found)
    return found


def _found(source: Sequence[str], processes: Processes) -> Sources:
    """The images of all sources, and messages about what lies beside them."""
    if processes.are_several and any(each in STDIN_NAMES for each in source):
        raise OptionError(
            f"the source - is read once, and {processes.count} processes were started: name a file, or run it without "
            "torchrun",
            code="E122",
        )
    found = require_images(source, "predicted")
    for note in found.notes:
        say(note)
    if found.repeats:
        say(f"{count_of(found.repeats, 'image')} named more than once: each is predicted once")
    return found


def _refuse_pipes(proposals: Path | None, found: Sources) -> None:
    """Raise ``OptionError`` for an image without a path, by which proposals are found."""
    if proposals is not None and (pipes := [name for name in found.names if is_pipe(name)]):
        raise OptionError(f"--proposals are found by an image's path, which {pipes[0]} does not have; give a file")
