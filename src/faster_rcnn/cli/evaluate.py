"""The command ``faster-rcnn evaluate``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from faster_rcnn.cli.options import Integer, JsonOut, Precision, Settings, announce_work
from faster_rcnn.cli.order import refuse_swapped
from faster_rcnn.cli.outputs import deliver, model_file, require_json
from faster_rcnn.cli.several import refuse_other_inputs
from faster_rcnn.errors import OptionError
from faster_rcnn.system.console import warn

if TYPE_CHECKING:
    from faster_rcnn.system.distributed import Processes


def evaluate(
    model: str,
    data: Path,
    /,
    *,
    split: str | None = None,
    precision: Precision = "auto",
    device: str = "auto",
    proposals: Path | None = None,
    tile: Integer | None = None,
    overlap: float | None = None,
    settings: Settings = None,
    json: JsonOut = None,
) -> int:
    """Measure a detector on labelled images: COCO's twelve numbers, and AP of each class.

    Args:
        model: Model file, run folder or published name; or a COCO results JSON, or the lines of `predict --json`.
        data: Folder or file of labelled images.
        split: Split of the data to measure on; by default test where there is one, else val.
        precision: Number format of convolutions and matrix products; auto is the fastest one.
        device: Device that computes: auto, cpu, cuda or cuda:N.
        proposals: File of proposals for the second stage; without it a Fast R-CNN runs selective search itself.
        tile: Detect in larger images by square tiles of this many pixels, as `predict` does.
        overlap: Share of a tile's side that its neighbour covers too; by default 0.2.
        settings: Settings of inference in place of the model's own, as section.key=value, such as roi.nms_iou=0.6;
            several may follow.
        json: File for the numbers; - for standard output.
    """
    announce_work(f"evaluating {model} on {data}")
    from faster_rcnn.evaluation.results import is_results_file
    from faster_rcnn.evaluation.run import Evaluation, evaluate_detector, evaluate_results
    from faster_rcnn.inference.loading import load_detector, log_tiles
    from faster_rcnn.inference.tiles import tiling_of
    from faster_rcnn.system.distributed import joined

    def measured(processes: Processes) -> Evaluation:
        tiling = processes.together(partial(tiling_of, tile, overlap))
        if is_results_file(Path(model)):
            given = None if settings is None else " ".join(settings)
            _warn_of_idle_options(model, device, precision, proposals, tile, given)
            return processes.together(partial(evaluate_results, Path(model), data, split))
        detector = processes.together(partial(load_detector, model, precision, device, settings, processes))
        log_tiles(detector, tiling)
        refuse_other_inputs(processes, model, detector, [proposals], split, tile, overlap, settings)
        return evaluate_detector(detector, data, split, model, proposals=proposals, tiling=tiling, processes=processes)

    with joined() as processes:
        processes.together(partial(_refuse_mistakes, processes, model, data, json, proposals, tile))
        found = measured(processes)
        processes.of_first(partial(deliver, found, json))
    return 0


def _refuse_mistakes(
    processes: Processes, model: str, data: Path, json: str | None, proposals: Path | None, tile: int | None
) -> None:
    """Raise errors of arguments before anything slow; the first process writes the JSON file, so it checks it."""
    from faster_rcnn.evaluation.results import is_results_file

    refuse_swapped("evaluate", model, [data])
    if proposals is not None and tile is not None and not is_results_file(Path(model)):
        raise OptionError(f"--tile {tile}: the proposals of {proposals} are of whole images", code="E125")
    if processes.is_first:
        require_json(json, [model_file(model), data, proposals])


def _warn_of_idle_options(
    results: str, device: str, precision: str, proposals: Path | None, tile: int | None, settings: str | None
) -> None:
    given = {
        "--device": None if device == "auto" else device,
        "--precision": None if precision == "auto" else precision,
        "--proposals": proposals,
        "--tile": tile,
        "--set": settings,
    }
    for option, value in given.items():
        if value is not None:
            warn(f"{option} {value} changes nothing: {results} holds finished detections")
