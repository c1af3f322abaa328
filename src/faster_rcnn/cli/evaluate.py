"""The command ``faster-rcnn evaluate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faster_rcnn.cli.options import Integer, JsonOut, Precision, Settings, Switch, announce_work
from faster_rcnn.cli.order import refuse_swapped
from faster_rcnn.cli.outputs import deliver, model_file, refuse_same_file, require_file, require_folder, require_json
from faster_rcnn.cli.several import refuse_other_inputs
from faster_rcnn.errors import OptionError
from faster_rcnn.system.console import say, warn

if TYPE_CHECKING:
    from faster_rcnn.evaluation.run import Evaluation
    from faster_rcnn.inference.prepared import PreparedDetector
    from faster_rcnn.inference.tiles import Tiling
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
    classes: str | None = None,
    iou: float | None = None,
    agnostic_nms: Switch = False,
    batch: Integer | None = None,
    against: str | None = None,
    settings: Settings = None,
    json: JsonOut = None,
    out: Path | None = None,
    conf: float | str | None = None,
    keep_thresholds: Path | None = None,
) -> int:
    """Measure a detector on labelled images: COCO's twelve numbers with intervals, and the numbers of each class.

    Args:
        model: Model file, run folder, exported file or published name; or a COCO results JSON, or the lines of
            `predict --json`.
        data: Folder or file of labelled images.
        split: Split of the data to measure on; by default test where there is one, else val.
        precision: Number format of convolutions and matrix products; auto is the fastest one.
        device: Device that computes: auto, cpu, cuda or cuda:N.
        proposals: File of proposals for the second stage; without it a Fast R-CNN runs selective search itself.
        tile: Detect in larger images by square tiles of this many pixels, as `predict` does.
        overlap: Share of a tile's side that its neighbour covers too; by default 0.2.
        classes: Names of the classes that are measured, as a,b,c; objects of other classes are left out.
        iou: NMS threshold of the second stage, in place of the model's own.
        agnostic_nms: Let NMS compare detections of different classes too.
        batch: Most images that are detected together; by default 1 on a CPU and 8 on a GPU.
        against: Another model or file of detections, measured on the same images: which one is better, by how much, and
            whether that is more than chance. The other options hold for both.
        settings: Settings of inference in place of the model's own, as section.key=value, such as roi.nms_iou=0.6;
            several may follow.
        json: File for the numbers; - for standard output.
        out: Folder for report.html: curves, calibration, confusion and kinds of errors.
        conf: Lowest score at which precision, recall and confusion are measured: a number, auto or a target such as
            precision=0.95, by the thresholds in the model; by default the best F1 of each class on these images.
        keep_thresholds: File for a copy of the model with the thresholds of these images, for --conf auto; measure
            validation images for it, as with --split val.
    """
    announce_work(f"evaluating {model} on {data}")
    from faster_rcnn.evaluation.against import compare_sides
    from faster_rcnn.evaluation.keeping import refuse_keeping
    from faster_rcnn.evaluation.run import Contender, evaluate_against
    from faster_rcnn.inference.choice import choice_of
    from faster_rcnn.inference.limits import refuse_limits
    from faster_rcnn.inference.tiles import tiling_of
    from faster_rcnn.system.distributed import joined

    idle: dict[str, object] = {"--iou": iou, "--agnostic-nms": agnostic_nms, "--batch": batch}
    idle |= {"--device": device, "--precision": precision, "--proposals": proposals, "--tile": tile, "--set": settings}
    with joined() as processes:
        models = [model] if against is None else [model, against]
        given = _Given(model, data, split, conf, json, out, keep_thresholds)
        processes.together(partial(_refuse_mistakes, processes, models, data, json, proposals, tile))
        processes.together(partial(_refuse_outputs, processes, given, against, proposals))
        processes.together(partial(refuse_limits, 0.0 if conf is None else conf, None, batch))
        tiling = processes.together(partial(tiling_of, tile, overlap))
        choice = processes.together(partial(choice_of, classes, iou, agnostic_nms))
        load = partial(_loaded, processes, precision, device, settings, tiling, idle)
        how: dict[str, Any] = {"proposals": proposals, "tiling": tiling, "choice": choice, "batch": batch}
        how["processes"] = processes
        chosen = split, tile, overlap, classes, iou, agnostic_nms, batch, settings, conf
        detectors = [load(each) for each in models]
        for each, detector in zip(models, detectors, strict=True):
            if detector is not None:
                refuse_other_inputs(processes, each, detector, [proposals], *chosen)
        if keep_thresholds is not None:
            processes.together(partial(refuse_keeping, model, detectors[0]))
        if against is None:
            _evaluate_one(given, detectors[0], how)
            return 0
        sides = evaluate_against(Contender(model, detectors[0]), Contender(against, detectors[1]), data, split, **how)
        processes.of_first(lambda: deliver(compare_sides(*sides), json))
    return 0


@dataclass(frozen=True, slots=True)
class _Given:
    """What is measured, and where the results go."""

    model: str
    data: Path
    split: str | None
    conf: float | str | None
    json: str | None
    out: Path | None
    keep_thresholds: Path | None


def _evaluate_one(given: _Given, detector: PreparedDetector | None, how: Mapping[str, Any]) -> None:
    """Measure one detector, or one file of detections, and write what was asked for."""
    from faster_rcnn.evaluation.run import evaluate_detector, evaluate_results

    processes: Processes = how["processes"]
    if detector is None:
        read = partial(evaluate_results, Path(given.model), given.data, given.split, how["choice"], given.conf)
        found = processes.together(read)
    else:
        found = evaluate_detector(detector, given.data, given.split, given.model, conf=given.conf, **how)
    processes.of_first(partial(_deliver, given, found))


def _deliver(given: _Given, found: Evaluation) -> None:
    from faster_rcnn.evaluation.keeping import keep_thresholds
    from faster_rcnn.evaluation.page import write_evaluation

    deliver(found, given.json)
    if given.out is not None:
        page = write_evaluation(given.out, found.metrics, found.split, given.model, str(given.data))
        say(f"report: {page}")
    if given.keep_thresholds is not None:
        file = keep_thresholds(given.model, found.metrics, found.split, given.keep_thresholds)
        say(f"thresholds of {found.split} are in {file}, for --conf auto")


def _refuse_outputs(processes: Processes, given: _Given, against: str | None, proposals: Path | None) -> None:
    """Raise errors of the files that are written before anything slow."""
    from faster_rcnn.evaluation.page import REPORT

    named = {"--out": given.out, "--keep-thresholds": given.keep_thresholds, "--conf": given.conf}
    alone = next((f"{name} {value}" for name, value in named.items() if value is not None), None)
    if against is not None and alone is not None:
        raise OptionError(f"{alone}: it is for one detector; leave --against out", code="E125")
    if not processes.is_first:
        return
    require_folder("--out", given.out)
    if given.out is not None and (given.out / REPORT).exists():
        raise OptionError(f"--out {given.out} holds a {REPORT} already; name another folder, or remove it", code="E132")
    require_file("--keep-thresholds", given.keep_thresholds, [model_file(given.model), given.data, proposals])
    page = None if given.out is None else given.out / REPORT
    refuse_same_file({"--json": given.json, "--keep-thresholds": given.keep_thresholds, "--out": page})


def _loaded(
    processes: Processes,
    precision: Precision,
    device: str,
    settings: Settings,
    tiling: Tiling | None,
    idle: Mapping[str, object],
    model: str,
) -> PreparedDetector | None:
    """The detector; ``None`` for a file of finished detections, for which options without effect are reported."""
    from faster_rcnn.evaluation.results import is_results_file
    from faster_rcnn.inference.loading import load_detector, log_tiles

    if is_results_file(Path(model)):
        _warn_of_idle_options(model, idle)
        return None
    detector = processes.together(partial(load_detector, model, precision, device, settings, processes))
    log_tiles(detector, tiling)
    return detector


def _refuse_mistakes(
    processes: Processes, models: Sequence[str], data: Path, json: str | None, proposals: Path | None, tile: int | None
) -> None:
    """Raise errors of arguments before anything slow; the first process writes the JSON file, so it checks it."""
    from faster_rcnn.evaluation.results import is_results_file

    refuse_swapped("evaluate", models[0], [data])
    if proposals is not None and tile is not None and not all(is_results_file(Path(each)) for each in models):
        raise OptionError(f"--tile {tile}: the proposals of {proposals} are of whole images", code="E125")
    if processes.is_first:
        require_json(json, [*map(model_file, models), data, proposals])


def _warn_of_idle_options(results: str, given: Mapping[str, object]) -> None:
    for option, value in given.items():
        if value is None or value is False or value == "auto":
            continue
        shown = "" if value is True else f" {' '.join(value) if isinstance(value, list) else value}"
        warn(f"{option}{shown} changes nothing: {results} holds finished detections")
