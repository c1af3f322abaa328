"""``faster-rcnn evaluate``: COCO's metrics of a detector, or of detections that were written down earlier."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.cli.order import refuse_swapped
from faster_rcnn.cli.outputs import STDOUT, model_file, require_json, write_json
from faster_rcnn.data.reading import load_split
from faster_rcnn.data.records import Split
from faster_rcnn.errors import OptionError
from faster_rcnn.evaluation.detector import (
    computed_with,
    measure_detector,
    settings_for,
    split_to_measure,
    take_proposals,
    tell_split,
)
from faster_rcnn.evaluation.matching import NamedImage
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.evaluation.results import is_results_file, read_results
from faster_rcnn.evaluation.split import measure_split
from faster_rcnn.inference.loading import load_predictor, say_tiles
from faster_rcnn.inference.tiles import tiling_of
from faster_rcnn.settings.schema import DataConfig
from faster_rcnn.system.console import say, show, warn


def run(
    model: str,
    data: Path,
    *,
    split: str | None,
    precision: str,
    json: str | None,
    proposals: Path | None = None,
    tile: int | None = None,
    overlap: float | None = None,
    device: str = "auto",
) -> int:
    """Measure, and print a table, or with ``--json -`` nothing but the numbers."""
    refuse_swapped("evaluate", model, [data])
    require_json(json, [model_file(model), data, proposals])
    tiling = tiling_of(tile, overlap)
    if is_results_file(Path(model)):
        _warn_of_idle_options(model, device, precision, proposals, tile)
        part = split_to_measure(data, DataConfig(), split)
        metrics, computed = _measure_results(Path(model), part), computed_with(None)
    else:
        if proposals is not None and tiling is not None:
            raise OptionError(f"--tile {tile}: the proposals of {proposals} are of whole images", code="E125")
        predictor = load_predictor(model, precision, device).in_tiles(tiling)
        say_tiles(predictor)
        dataset = load_split(data, settings_for(data, predictor.config.data, tiling), split)
        part = tell_split(dataset, split)
        if proposals is not None:
            take_proposals(predictor, proposals, dataset.root, part, model)
        metrics, computed = measure_detector(predictor, part, model), computed_with(predictor)
    if json != STDOUT:
        show(metrics.table())
    if json is not None:
        write_json(json, metrics.to_json(part.name) | computed)
    if json is not None and json != STDOUT:
        say(f"numbers in {json}")
    return 0


def _warn_of_idle_options(results: str, device: str, precision: str, proposals: Path | None, tile: int | None) -> None:
    given = {
        "--device": None if device == "auto" else device,
        "--precision": None if precision == "auto" else precision,
        "--proposals": proposals,
        "--tile": tile,
    }
    for option, value in given.items():
        if value is not None:
            warn(f"{option} {value} changes nothing: {results} holds finished detections")


def _measure_results(path: Path, split: Split) -> Metrics:
    images = [NamedImage(record.image_id, record.path, record.size) for record in split.records]
    results = read_results(path, images, split.classes)
    for note in results.notes:
        say(note)
    return measure_split(split, dict(enumerate(results.detections)))
