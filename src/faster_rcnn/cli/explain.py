"""The command ``faster-rcnn explain``."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.cli.options import Integer, JsonOut, Precision, announce
from faster_rcnn.cli.order import refuse_swapped
from faster_rcnn.cli.outputs import deliver, model_file, require_json
from faster_rcnn.errors import OptionError


def explain(
    model: str,
    source: Path,
    /,
    *,
    split: str | None = None,
    against: str | None = None,
    conf: float = 0.5,
    iou_threshold: float = 0.5,
    tile: Integer | None = None,
    overlap: float | None = None,
    precision: Precision = "auto",
    device: str = "auto",
    proposals: Path | None = None,
    json: JsonOut = None,
) -> int:
    """Explain what a detector does: for each object of labelled images, the stage that found or lost it.

    Args:
        model: Model file, run folder or published name.
        source: Folder or file of labelled images.
        split: Split of the data to explain; by default test where there is one, else val.
        against: Another model to compare with: objects that only one finds, why, and whether AP changed by chance.
        conf: Lowest score that is reported.
        iou_threshold: Lowest IoU of a detection with the object that it counts for.
        tile: Detect in larger images by square tiles of this many pixels, as `predict` does.
        overlap: Share of a tile's side that its neighbour covers too; by default 0.2.
        precision: Number format of convolutions and matrix products; auto is the fastest one.
        device: Device that computes: auto, cpu, cuda or cuda:N.
        proposals: File of proposals for the second stage; without it a Fast R-CNN runs selective search itself.
        json: File for the numbers; - for standard output.
    """
    announce(f"explaining {model} on {source}")
    from faster_rcnn.explanation.against import against_on_data
    from faster_rcnn.explanation.causes.kinds import Thresholds
    from faster_rcnn.explanation.survey import survey_data
    from faster_rcnn.inference.loading import load_detector, log_tiles
    from faster_rcnn.inference.tiles import tiling_of

    refuse_swapped("explain", model, [source])
    inputs = [model_file(model), source, proposals, None if against is None else model_file(against)]
    require_json(json, inputs)
    tiling = tiling_of(tile, overlap)
    if proposals is not None and tiling is not None:
        raise OptionError(f"--tile {tile}: the proposals of {proposals} are of whole images", code="E125")
    thresholds = Thresholds(conf, iou_threshold)
    thresholds.refuse_senseless()
    detector = load_detector(model, precision, device)
    log_tiles(detector, tiling)
    if against is None:
        deliver(survey_data(detector, source, split, thresholds, model, proposals=proposals, tiling=tiling), json)
        return 0
    detectors, names = (load_detector(against, precision, device), detector), (against, model)
    found = against_on_data(detectors, source, split, thresholds, names, proposals=proposals, tiling=tiling)
    deliver(found, json)
    return 0
