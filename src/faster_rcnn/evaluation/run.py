"""Measures a detector, or a file of finished detections, on a split of labelled images."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from faster_rcnn.data.fingerprint import split_digest
from faster_rcnn.data.reading import load_split
from faster_rcnn.data.records import Split
from faster_rcnn.evaluation.detector import choose_split, measure_detector, settings_for, split_to_measure
from faster_rcnn.evaluation.matching import NamedImage
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.evaluation.results import read_results
from faster_rcnn.evaluation.split import measure_split
from faster_rcnn.inference.external_proposals import split_source
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
    processes: Processes = ALONE,
) -> Evaluation:
    """Metrics of a detector on labelled images, in every process where several call it together.

    Args:
        detector: the detector.
        data: folder or file of labelled images.
        split: name of the split; ``test`` where there is one, else ``val``, if it is not given.
        model: the detector's name in messages.
        proposals: file of proposals for the second stage.
        tiling: how larger images are cut into tiles.
        processes: the processes that predict a part of the images each.

    Raises:
        DatasetError: the data or the proposals cannot be used.
        OptionError: there is no such split, or the detector takes no external proposals, or no tiles; or a process has
            other labelled images than the first one.
        ModelFileError: the data has classes that the detector lacks.
    """

    def read() -> tuple[Split, Predictor]:
        dataset = load_split(data, settings_for(data, detector.config.data, tiling), split)
        part = choose_split(dataset, split)
        source = None if proposals is None else split_source(detector, proposals, dataset.root, part, model)
        return part, Predictor(detector, proposals=source, tiling=tiling)

    with processes.first_logs():
        part, predictor = processes.together(read)
    refuse_differing(processes, {"the labelled images": split_digest(part)} if processes.are_several else {})
    metrics = measure_detector(predictor, part, model, processes)
    name = precision_name(detector.precision)
    return Evaluation(metrics, part.name, str(detector.device), name, torch.get_num_threads())


def evaluate_results(results: Path, data: Path, split: str | None) -> Evaluation:
    """Metrics of the detections in a file, see ``read_results``; raises ``DatasetError`` and ``OptionError``."""
    part = split_to_measure(data, DataConfig(), split)
    images = [NamedImage(record.image_id, record.path, record.size) for record in part.records]
    found = read_results(results, images, part.classes)
    for note in found.notes:
        _LOG.info(note)
    return Evaluation(measure_split(part, dict(enumerate(found.detections))), part.name)
