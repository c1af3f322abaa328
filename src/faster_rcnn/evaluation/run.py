"""Measures a detector, or a file of finished detections, on a split of labelled images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from faster_rcnn.data.chosen import split_of_classes
from faster_rcnn.data.fingerprint import split_digest
from faster_rcnn.data.reading import load_split
from faster_rcnn.data.records import Dataset, Split
from faster_rcnn.errors import OptionError
from faster_rcnn.evaluation.against import Side
from faster_rcnn.evaluation.detector import choose_split, detect_in, measure_in_detail, settings_for, split_to_measure
from faster_rcnn.evaluation.in_detail import ChosenScores
from faster_rcnn.evaluation.matching import NamedImage
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.evaluation.results import read_results
from faster_rcnn.evaluation.split import measure_split_in_detail
from faster_rcnn.inference.choice import Choice
from faster_rcnn.inference.confidence import notes_on
from faster_rcnn.inference.external_proposals import split_source
from faster_rcnn.inference.limits import Conf, refuse_limits
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import PreparedDetector
from faster_rcnn.inference.tiles import Tiling
from faster_rcnn.settings.schema import DataConfig
from faster_rcnn.system.agreement import refuse_differing
from faster_rcnn.system.devices import precision_name
from faster_rcnn.system.distributed import ALONE, Processes

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Metrics on one split, and how the detections were computed, which may decide the last digits."""

    metrics: Metrics
    split: str
    device: str | None = None
    """``None``, as are precision and threads, for detections of a file, which does not hold them."""
    precision: str | None = None
    threads: int | None = None

    def table(self) -> str:
        """The metrics as text for a terminal."""
        return self.metrics.table()

    def to_json(self) -> dict[str, Any]:
        """The object that ``evaluate --json`` writes."""
        how = {"device": self.device, "precision": self.precision, "threads": self.threads}
        return self.metrics.to_json(self.split) | how


def evaluate_detector(
    detector: PreparedDetector,
    data: Path,
    split: str | None,
    model: str,
    *,
    proposals: Path | None = None,
    tiling: Tiling | None = None,
    choice: Choice = Choice(),  # noqa: B008  # it is frozen
    batch: int | None = None,
    processes: Processes = ALONE,
    conf: Conf | None = None,
) -> Evaluation:
    """Metrics of a detector on labelled images, in every process where several call it together.

    Args:
        detector: the detector.
        data: folder or file of labelled images.
        split: name of the split; ``test`` where there is one, else ``val``, if it is not given.
        model: the detector's name in messages.
        proposals: file of proposals for the second stage.
        tiling: how larger images are cut into tiles.
        choice: the classes that are measured, and the NMS that detections pass.
        batch: the largest number of images that are detected together.
        processes: the processes that predict a part of the images each.
        conf: lowest score at which precision and recall are measured; ``None`` for the best F1 of each class.

    Raises:
        DatasetError: the data or the proposals cannot be used.
        OptionError: there is no such split, or the detector takes no external proposals, or no tiles; or a process has
            other labelled images than the first one; or the detector or the data lacks a class of ``choice``.
        ModelFileError: the data has classes that the detector lacks.
    """
    contenders = [Contender(model, detector)]
    part, [predictor] = _opened(contenders, data, split, proposals, tiling, choice, batch, processes)
    assert predictor is not None  # it is no file
    chosen = processes.together(lambda: _chosen_scores(conf, predictor))
    metrics = measure_in_detail(predictor, part, model, processes, chosen)
    return Evaluation(metrics, part.name, **_how(detector))


def _chosen_scores(conf: Conf | None, predictor: Predictor) -> ChosenScores | None:
    """The lowest score of each class of a detector."""
    if conf is None:
        return None
    refuse_limits(conf, None)
    for note in notes_on(conf, predictor.detector.thresholds, predictor.classes):
        _LOG.info(note)
    scores = predictor.min_scores(conf)
    of_labels = scores.tolist() if isinstance(scores, torch.Tensor) else [scores] * len(predictor.classes)
    named = zip(predictor.classes.names, of_labels, strict=True)
    return ChosenScores(f"--conf {conf}", {name: score for name, score in named if name is not None})


def evaluate_results(
    results: Path,
    data: Path,
    split: str | None,
    choice: Choice = Choice(),  # noqa: B008  # it is frozen
    conf: Conf | None = None,
) -> Evaluation:
    """Metrics of the detections in a file, see ``read_results``; raises ``DatasetError`` and ``OptionError``.

    Only the classes of ``choice`` are used. ``conf`` is a number, as a file keeps no thresholds.
    """
    if isinstance(conf, str):
        raise OptionError(f"--conf {conf}: {results} holds detections, and no thresholds; give a number", code="E125")
    if conf is not None:
        refuse_limits(conf, None)
    side = _side_of_results(results, split_to_measure(data, DataConfig(), split), choice)
    names = [name for name in side.split.classes.names if name is not None]
    chosen = None if conf is None else ChosenScores(f"--conf {conf:g}", dict.fromkeys(names, conf))
    return Evaluation(measure_split_in_detail(side.split, side.found, chosen), side.split.name)


@dataclass(frozen=True, slots=True, eq=False)
class Contender:
    """A detector, or a file of detections, under its name in messages."""

    model: str
    detector: PreparedDetector | None
    """``None`` where ``model`` is a file of detections."""


def evaluate_against(
    own: Contender,
    other: Contender,
    data: Path,
    split: str | None,
    *,
    proposals: Path | None = None,
    tiling: Tiling | None = None,
    choice: Choice = Choice(),  # noqa: B008  # it is frozen
    batch: int | None = None,
    processes: Processes = ALONE,
) -> tuple[Side, Side]:
    """Detections of two detectors in the same images, for ``compare_sides``, in the first process of several.

    The data are read once, as those that the own detector was trained on. The other arguments are those of
    ``evaluate_detector``, for both, and so are the errors.
    """
    part, predictors = _opened([own, other], data, split, proposals, tiling, choice, batch, processes)
    first, second = (
        _side(each.model, predictor, part, choice, processes)
        for each, predictor in zip((own, other), predictors, strict=True)
    )
    return first, second


def _opened(
    contenders: Sequence[Contender],
    data: Path,
    split: str | None,
    proposals: Path | None,
    tiling: Tiling | None,
    choice: Choice,
    batch: int | None,
    processes: Processes,
) -> tuple[Split, list[Predictor | None]]:
    """The split, read as the data that the first detector was trained on, and a predictor of each; None for a file."""

    def predictor_of(each: Contender, dataset: Dataset, part: Split) -> Predictor | None:
        if each.detector is None:
            return None
        source = None if proposals is None else split_source(each.detector, proposals, dataset.root, part, each.model)
        return Predictor(each.detector, batch=batch, proposals=source, tiling=tiling, choice=choice)

    def read() -> tuple[Split, list[Predictor | None]]:
        own = contenders[0].detector
        settings = DataConfig() if own is None else settings_for(data, own.config.data, tiling)
        dataset = load_split(data, settings, split)
        part = choose_split(dataset, split)
        return part, [predictor_of(each, dataset, part) for each in contenders]

    with processes.first_logs():
        part, predictors = processes.together(read)
    refuse_differing(processes, {"the labelled images": split_digest(part)} if processes.are_several else {})
    return part, predictors


def _side(model: str, predictor: Predictor | None, part: Split, choice: Choice, processes: Processes) -> Side:
    if predictor is None:
        return processes.together(partial(_side_of_results, Path(model), part, choice))
    measured, found = detect_in(predictor, part, model, processes, f", {model}")
    return Side(model, measured, found, _how(predictor.detector))


def _side_of_results(results: Path, part: Split, choice: Choice) -> Side:
    images = [NamedImage(record.image_id, record.path, record.size) for record in part.records]
    read = read_results(results, images, part.classes)
    for note in read.notes:
        _LOG.info(note)
    chosen = choice.names_of(part.classes)
    measured = part if chosen is None else split_of_classes(part, chosen)
    has_name = torch.tensor([name is not None for name in measured.classes.names], dtype=torch.bool)
    found = {place: each.only(has_name[each.labels]) for place, each in enumerate(read.detections)}
    return Side(str(results), measured, found, {"device": None, "precision": None, "threads": None})


def _how(detector: PreparedDetector) -> dict[str, Any]:
    name = precision_name(detector.precision)
    return {"device": str(detector.device), "precision": name, "threads": torch.get_num_threads()}
