"""The options of ``faster-rcnn predict`` that change results, and the predictor that they make."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faster_rcnn.errors import OptionError
from faster_rcnn.inference.limits import Conf
from faster_rcnn.system.console import say

if TYPE_CHECKING:
    from faster_rcnn.inference.predictor import Predictor
    from faster_rcnn.system.distributed import Processes


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """Options that images, films and ``--engine ray`` honour, by the names of the arguments of ``RayBatch``."""

    conf: Conf
    max_det: int | None
    tile: int | None
    overlap: float | None
    classes: str | None
    iou: float | None
    agnostic_nms: bool
    precision: str
    settings: Sequence[str] | None

    def arguments(self) -> dict[str, Any]:
        """The options as arguments, and as the manifest holds them."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**given, "settings": None if self.settings is None else list(self.settings)}


def refuse_given(refused: Mapping[str, object], reason: str) -> None:
    """Raise ``OptionError`` (E125) for the first option that has a value, with the reason why it makes no sense."""
    given = next((name for name, value in refused.items() if value is not None), None)
    if given is not None:
        raise OptionError(f"{given} {reason}; leave it out", code="E125")


def refuse_torchrun(reason: str) -> None:
    """Raise ``OptionError`` (E125) in one of several processes of torchrun."""
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise OptionError(f"{reason}; run the command once, without torchrun", code="E125")


def load_predictor(
    model: str,
    options: PredictOptions,
    device: str,
    batch: int | None = None,
    proposals: Path | None = None,
    processes: Processes | None = None,
) -> Predictor:
    """Load the detector, and name its own limits where the options ask for more than these."""
    from faster_rcnn.inference.choice import choice_of
    from faster_rcnn.inference.external_proposals import file_source
    from faster_rcnn.inference.loading import load_detector, log_tiles
    from faster_rcnn.inference.predictor import Predictor
    from faster_rcnn.inference.tiles import tiling_of
    from faster_rcnn.system.distributed import ALONE

    choice = choice_of(options.classes, options.iou, options.agnostic_nms)
    tiling = tiling_of(options.tile, options.overlap)
    detector = load_detector(model, options.precision, device, options.settings, processes or ALONE)
    source_of_proposals = None if proposals is None else file_source(detector, proposals, model)
    log_tiles(detector, tiling)
    predictor = Predictor(detector, batch=batch, proposals=source_of_proposals, tiling=tiling, choice=choice)
    _say_limits(predictor, options.conf, options.max_det)
    return predictor


def _say_limits(predictor: Predictor, conf: Conf, max_det: int | None) -> None:
    from faster_rcnn.inference.confidence import notes_on

    for note in notes_on(conf, predictor.detector.thresholds, predictor.classes):
        say(note)
    rpn, roi = predictor.config.rpn, predictor.config.roi
    min_score, max_detections = roi.score_floor, roi.max_detections
    if predictor.config.detector.kind == "rpn":
        min_score, max_detections = rpn.min_objectness, rpn.proposals_after_nms
    if not isinstance(conf, str) and conf < min_score:
        say(f"--conf {conf:g}: the model itself reports no score below {min_score:g}")
    if max_det is not None and max_det > max_detections:
        part = "an image" if predictor.tiling is None else "a tile"
        say(f"--max-det {max_det}: the model reports at most {max_detections} detections of {part}")
