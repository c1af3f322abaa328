"""The command ``faster-rcnn evaluate``."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.cli.options import Integer, JsonOut, Precision, Settings, announce_work
from faster_rcnn.cli.order import refuse_swapped
from faster_rcnn.cli.outputs import deliver, model_file, require_json
from faster_rcnn.errors import OptionError
from faster_rcnn.system.console import warn


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
    from faster_rcnn.evaluation.run import evaluate_detector, evaluate_results
    from faster_rcnn.inference.loading import load_detector, log_tiles
    from faster_rcnn.inference.tiles import tiling_of

    refuse_swapped("evaluate", model, [data])
    require_json(json, [model_file(model), data, proposals])
    tiling = tiling_of(tile, overlap)
    if is_results_file(Path(model)):
        given = None if settings is None else " ".join(settings)
        _warn_of_idle_options(model, device, precision, proposals, tile, given)
        deliver(evaluate_results(Path(model), data, split), json)
        return 0
    if proposals is not None and tiling is not None:
        raise OptionError(f"--tile {tile}: the proposals of {proposals} are of whole images", code="E125")
    detector = load_detector(model, precision, device, settings)
    log_tiles(detector, tiling)
    deliver(evaluate_detector(detector, data, split, model, proposals=proposals, tiling=tiling), json)
    return 0


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
