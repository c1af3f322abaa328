"""``faster-rcnn evaluate``: COCO's metrics of a detector, or of detections that were written down earlier."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from faster_rcnn.config import DataConfig
from faster_rcnn.data.objects import split_without_classes
from faster_rcnn.data.reading import load_split
from faster_rcnn.data.records import Dataset, Split
from faster_rcnn.devices import precision_name
from faster_rcnn.errors import DatasetError, ImageError, ImageMemoryError, OptionError
from faster_rcnn.evaluation.matching import NamedImage
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.evaluation.results import is_results_file, read_results
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.result import Seen
from faster_rcnn.inference.tiles import MOST_PIXELS, Tiling, tiling_of
from faster_rcnn.jobs.console import counted, say, show, warn
from faster_rcnn.jobs.measuring import measure_split
from faster_rcnn.jobs.order import refuse_swapped
from faster_rcnn.jobs.outputs import STDOUT, model_file, require_json, write_json
from faster_rcnn.jobs.outside import of_split, proposals_by_path
from faster_rcnn.jobs.predict import load_predictor, refuse_without_second_stage, say_tiles
from faster_rcnn.jobs.translation import Translation
from faster_rcnn.proposals.file import load_proposals
from faster_rcnn.structures import Detections


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


def computed_with(predictor: Predictor | None) -> dict[str, str | int | None]:
    """How results were computed, which may decide their last digits; all null for detections of a file."""
    if predictor is None:
        return dict.fromkeys(("device", "precision", "threads"))
    name = precision_name(predictor.precision)
    return {"device": str(predictor.device), "precision": name, "threads": torch.get_num_threads()}


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


def take_proposals(predictor: Predictor, file: Path, root: Path, part: Split, model: str) -> None:
    """Let the second stage work on the proposals of a file; raises before any work where an image has none."""
    refuse_without_second_stage(predictor, model)
    found = load_proposals(file)
    outside = of_split(found, root, part, predictor.config.detector.outside_proposals, predictor.config.data)
    predictor.proposals = proposals_by_path(part, outside)
    say(f"proposals of {found.method} from {file}")


def measure_detector(predictor: Predictor, split: Split, model: str) -> Metrics:
    """Metrics of a detector on a split; ``model`` is its name in messages.

    Raises:
        DatasetError: more than 5 % of the images cannot be decoded.
        ModelFileError: the data has classes that the detector does not know.
    """
    if predictor.config.detector.kind == "rpn":
        split = split_without_classes(split)
    translation = Translation.between(predictor.classes, split.classes, model, split.name)
    for note in translation.notes:
        say(note)
    found: dict[int, Detections] = {}
    seen = found_in(predictor, split)
    for place, one in counted(seen, f"images of {split.name}", len(split.records)):
        if one is not None:
            found[place] = translation.translate(one.result.detections)
    return measure_split(split, found)


def found_in(predictor: Predictor, split: Split) -> Iterator[tuple[int, Seen | None]]:
    """What is found in each image of a split, by place of its record; ``None`` where it cannot be decoded.

    Raises:
        DatasetError: more than 5 % of the images cannot be decoded.
    """
    damaged: list[str] = []
    outcomes = predictor.outcomes((record.path for record in split.records), conf=0.0)
    for place, one in enumerate(outcomes):
        if isinstance(one, ImageMemoryError):
            raise one  # what other programs leave of the memory decides no number
        if isinstance(one, ImageError):
            _note_damage(damaged, str(one), split, warn)
        yield place, None if isinstance(one, ImageError) else one


def settings_for(data: Path, trained_on: DataConfig, tiling: Tiling | None = None) -> DataConfig:
    """How to read ``data`` for a detector: as its training data were read.

    Parts that were named by hand count only where they lie below ``data``: other data has its own. Images that are
    looked at in tiles may be larger than those of training.
    """
    root = (data if data.is_dir() else data.parent).resolve()
    named = {name: getattr(trained_on, name) for name in ("train", "val", "test", "images")}
    elsewhere = {name: None for name, value in named.items() if value is not None and not _is_below(root, value)}
    most_pixels = trained_on.max_pixels if tiling is None else max(trained_on.max_pixels, MOST_PIXELS)
    return trained_on.model_copy(update={**elsewhere, "max_pixels": most_pixels})


def _is_below(root: Path, value: str) -> bool:
    path = root / value
    return os.path.exists(path) and path.resolve().is_relative_to(root)  # no name that no file can have is resolved


def split_to_measure(data: Path, settings: DataConfig, name: str | None) -> Split:
    """The split to measure on, with everything there is to know about it told."""
    return tell_split(load_split(data, settings, name), name)


def tell_split(dataset: Dataset, name: str | None) -> Split:
    """The split to measure on, its notes and the warnings of the data told; raises where there is none."""
    split = dataset.split(name)
    for warning in dataset.warnings:
        warn(warning)
    for note in split.notes:
        say(note)
    return split


def _measure_results(path: Path, split: Split) -> Metrics:
    images = [NamedImage(record.image_id, record.path, record.size) for record in split.records]
    results = read_results(path, images, split.classes)
    for note in results.notes:
        say(note)
    return measure_split(split, dict(enumerate(results.detections)))


def _note_damage(damaged: list[str], fault: str, split: Split, tell: Callable[[str], None]) -> None:
    damaged.append(fault)
    tell(f"{fault}; it is left out, with its truth")
    if len(damaged) > max(1, len(split.records) * 5 // 100) or len(damaged) == len(split.records):
        raise DatasetError(
            f"{len(damaged)} of {len(split.records)} images of {split.name} cannot be decoded, more than the 5 % that "
            f"are left out: {fault}. Mend or remove them",
            code="E105",
        )
