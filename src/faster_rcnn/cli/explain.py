"""The command ``faster-rcnn explain``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faster_rcnn.cli.options import Integer, JsonOut, Precision, Settings, announce_work
from faster_rcnn.cli.order import refuse_swapped
from faster_rcnn.cli.outputs import deliver, model_file, refuse_same_file, require_file, require_json
from faster_rcnn.cli.survey_files import SurveyFiles, refuse_inside
from faster_rcnn.data.layout.folders import IMAGE_SUFFIXES
from faster_rcnn.errors import OptionError
from faster_rcnn.system.console import say
from faster_rcnn.system.numbering import first_free
from faster_rcnn.system.wording import count_of

if TYPE_CHECKING:
    from faster_rcnn.explanation.causes.kinds import Thresholds
    from faster_rcnn.inference.prepared import PreparedDetector
    from faster_rcnn.inference.tiles import Tiling

PAGE = "explanation"
FILMS = (".gif", ".mp4")


def explain(
    model: str,
    source: Path,
    /,
    *,
    data: Path | None = None,
    split: str | None = None,
    against: str | None = None,
    conf: float = 0.5,
    iou_threshold: float = 0.5,
    tile: Integer | None = None,
    overlap: float | None = None,
    settings: Settings = None,
    precision: Precision = "auto",
    device: str = "auto",
    proposals: Path | None = None,
    out: Path | None = None,
    animate: bool = False,
    json: JsonOut = None,
    label_errors: Path | None = None,
    coco: Path | None = None,
    folders: Path | None = None,
    advice: Integer = 2,
) -> int:
    """Explain what a detector does: every stage for one image, or for each object of labelled images what lost it.

    One image gives a page that shows every stage; labelled images give tables and a page of what was found, missed and
    false.

    Args:
        model: Model file, run folder or published name.
        source: An image, or a folder or file of labelled images.
        data: Labelled images among which the image is; its objects are then explained, too.
        split: Split of the data; by default test where there is one, else val. An image is searched in all splits.
        against: Another model to compare with: objects that only one finds, why, and whether AP changed by chance.
        conf: Lowest score that is reported.
        iou_threshold: Lowest IoU of a detection with the object that it counts for.
        tile: Detect in larger images by square tiles of this many pixels, as `predict` does.
        overlap: Share of a tile's side that its neighbour covers too; by default 0.2.
        settings: Settings of inference in place of the model's own, as `predict` takes them.
        precision: Number format of convolutions and matrix products; auto is the fastest one.
        device: Device that computes: auto, cpu, cuda or cuda:N.
        proposals: File of proposals for the second stage; without it a Fast R-CNN runs selective search itself.
        out: HTML file for the page; by default, unless --json is given, explanation.html, or explanation-2.html where
            that is there, and so on.
        animate: Write a film of the first stage at work beside the page of an image, too: a GIF, and an MP4 where
            OpenCV is installed.
        json: File for the numbers of labelled images; - for standard output.
        label_errors: CSV file for the probable label errors of images that the model was not trained on.
        coco: COCO JSON file with the verdict on every label and every detection, for FiftyOne, CVAT and Label Studio.
        advice: Number of settings that help most of the missed objects whose AP on all images is measured; each takes
            as long as `evaluate`. With 0 no setting is tried.
        folders: New folder for a picture of each missed object (missed/) and of each false positive (false/).
    """
    announce_work(f"explaining {model} on {source}")
    from faster_rcnn.explanation.causes.kinds import Thresholds
    from faster_rcnn.inference.loading import load_detector, log_tiles
    from faster_rcnn.inference.tiles import tiling_of

    refuse_swapped("explain", model, [source])
    inputs = [model_file(model), source, data, proposals, None if against is None else model_file(against)]
    require_json(json, inputs)
    tiling = tiling_of(tile, overlap)
    if proposals is not None and tiling is not None:
        raise OptionError(f"--tile {tile}: the proposals of {proposals} are of whole images", code="E125")
    thresholds = Thresholds(conf, iou_threshold)
    thresholds.refuse_senseless()
    if advice < 0:
        raise OptionError(f"--advice {advice}: the number of settings is 0 or more", code="E125")
    files = SurveyFiles(label_errors, coco, folders)
    is_image = source.suffix.lower() in IMAGE_SUFFIXES and not source.is_dir()
    if is_image:
        files.refuse_idle(f"is about labelled images, and {source} is one image")
        _refuse_options_of_data(source, data, split, against, json)
    else:
        refuse_inside("--json", json, source)
        files.require(source, split, against, inputs)
        _refuse_options_of_image(source, data, animate)
    has_page = out is not None or json is None
    page = _page(source, data, out, animate) if has_page else None
    refuse_inside("--out", page, data or source)
    refuse_same_file({"--json": json, "--out": page, **files.given()})
    detector = load_detector(model, precision, device, settings)
    log_tiles(detector, tiling)
    other = None if against is None else load_detector(against, precision, device, settings)
    task = _Task(model, detector, source, split, thresholds, tiling, proposals)
    if is_image and page is not None:
        return _explain_image(task, data, page, animate)
    if other is not None:
        return _explain_change(task, against or "", other, page, json)
    return _explain_data(task, page, json, files, advice)


@dataclass(frozen=True, slots=True)
class _Task:
    """What both kinds of explanations take."""

    model: str
    detector: PreparedDetector
    source: Path
    split: str | None
    thresholds: Thresholds
    tiling: Tiling | None
    proposals: Path | None


def _explain_data(task: _Task, page: Path | None, json: str | None, files: SurveyFiles, advice: int) -> int:
    """Explain labelled images: tables, numbers, a page, and other files."""
    from faster_rcnn.explanation.gallery import save_dataset_page
    from faster_rcnn.explanation.survey import survey_data

    where = task.source, task.split, task.thresholds, task.model
    survey = survey_data(task.detector, *where, proposals=task.proposals, tiling=task.tiling, advice=advice)
    deliver(survey, json)
    files.write(survey)
    if page is not None:
        save_dataset_page(survey, page, task.source.resolve().name, task.model)
        say(f"galleries and tables in {page}")
    return 0


def _explain_change(task: _Task, against: str, other: PreparedDetector, page: Path | None, json: str | None) -> int:
    """Explain what changed on labelled images from another detector to this one: tables, numbers, a page."""
    from faster_rcnn.explanation.against import against_on_data
    from faster_rcnn.explanation.against_page import save_change_page

    where = task.source, task.split, task.thresholds, (against, task.model)
    found = against_on_data((other, task.detector), *where, proposals=task.proposals, tiling=task.tiling)
    deliver(found, json)
    if page is not None:
        save_change_page(found, page, task.source.resolve().name)
        say(f"what changed, with pictures, in {page}")
    return 0


def _explain_image(task: _Task, data: Path | None, page: Path, animate: bool) -> int:
    """Explain one image: a page, and a film where that is wanted."""
    from faster_rcnn.explanation.dataset.image_truth import truth_in_data
    from faster_rcnn.explanation.film import write_films
    from faster_rcnn.explanation.trace import trace_image
    from faster_rcnn.inference.external_proposals import file_source
    from faster_rcnn.inference.predictor import Predictor

    detector, tiling, model = task.detector, task.tiling, task.model
    if animate and (task.proposals is not None or detector.config.detector.kind == "fast-rcnn"):
        raise OptionError(
            "--animate shows the first stage, which external proposals replace; leave it out", code="E125"
        )
    truth = None
    if data is not None:
        truth = truth_in_data(task.source, data, detector, split=task.split, tiling=tiling, model=model)
    source = None if task.proposals is None else file_source(detector, task.proposals, model)
    predictor = Predictor(detector, proposals=source, tiling=tiling)
    trace = trace_image(predictor, task.source, truth, task.thresholds.conf, task.thresholds.iou)
    trace.save(page, model)
    found = count_of(len(trace.detections), "detection")
    if truth is not None:
        missed = sum(verdict.missed for verdict in trace.verdicts)
        found += f", {len(trace.verdicts) - missed} of {count_of(len(trace.verdicts), 'object')} found"
        found += f", {count_of(len(trace.false_positives), 'false positive')}"
    say(f"{found}; every stage in {page}")
    if animate:
        say(f"film in {' and '.join(str(path) for path in write_films(trace, page.with_suffix('')))}")
    return 0


def _page(source: Path, data: Path | None, out: Path | None, animate: bool) -> Path:
    """The file of the page, beside which the files of an image's film can be written."""
    if out is None:
        endings = (".html", *FILMS) if animate else (".html",)
        name = first_free(Path(PAGE), lambda path: any(os.path.lexists(f"{path}{ending}") for ending in endings))
        return Path(f"{name}.html")
    require_file("--out", out, [source, data])
    if out.suffix.lower() not in (".html", ".htm"):
        raise OptionError(f"--out {out} is not named as a page; end it with .html")
    for ending in FILMS if animate else ():
        require_file("--animate", out.with_suffix(ending), [source, data])
    return out


def _refuse_options_of_data(
    source: Path, data: Path | None, split: str | None, against: str | None, json: str | None
) -> None:
    if json is not None:
        raise OptionError(f"--json {json} holds numbers of labelled images, and {source} is one image; use --out")
    if against is not None:
        raise OptionError(f"--against {against} compares on labelled images, and {source} is one image; name these")
    if split is not None and data is None:
        raise OptionError(f"--split {split} chooses a part of labelled images; name them with --data")


def _refuse_options_of_image(source: Path, data: Path | None, animate: bool) -> None:
    if data is not None:
        raise OptionError(f"--data {data} gives the truth of one image, and {source} is none; name an image")
    if animate:
        raise OptionError(f"--animate shows one image, and {source} is none; name an image")
