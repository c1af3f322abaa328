"""``rpn.score_floor=auto``: the floor of objectness below which a trained detector drops proposals.

Most proposals of an image with few objects lie on background, and the second stage computes each of them (Faster R-CNN,
section 3.3: fewer proposals cost little recall). A floor drops those whose objectness no object of the validation split
needs. The first stage is the same with and without it, since NMS never drops a proposal because of one of lower score.

A run keeps every proposal, and its own settings keep ``auto``; its model files get the number when training has ended.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from faster_rcnn.building import for_inference_with
from faster_rcnn.data.records import Split
from faster_rcnn.inference.external_proposals import rpn_proposals
from faster_rcnn.ops.boxes import iou
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.schema import Config, with_score_floor
from faster_rcnn.structures import GroundTruth, Proposals
from faster_rcnn.system.atomic import atomic_write
from faster_rcnn.system.files import read_bytes
from faster_rcnn.training.run_folder import BEST, LAST
from faster_rcnn.training.validation import validating_predictor
from faster_rcnn.weights.model_file import LoadedModel, load_model, write_loaded

_LOG = logging.getLogger(__name__)

MIN_IOU = 0.5
"""IoU from which on a proposal finds an object: the second stage learns to correct such regions."""
OBJECTS_OF_LOSS = 1000
"""Number of objects of which one may be lost: 0.1 point of recall."""
DIGITS = Context(prec=2)
"""Two digits: objectness in bfloat16 and in int8 differs from that in float32 by more than a third digit is worth."""


@dataclass(frozen=True, slots=True)
class ScoreFloor:
    """A floor of objectness, and what it changes on the split that it was chosen on."""

    floor: float
    """0 where the first stage finds so few objects that no floor can be chosen."""
    objects: int
    found: int
    """Objects that a proposal finds without the floor."""
    found_above: int
    """Objects that a proposal finds with it."""
    images: int
    proposals: int
    proposals_above: int

    def __str__(self) -> str:
        before, after = (100 * each / self.objects for each in (self.found, self.found_above))
        fewer, all_of_them = (each / self.images for each in (self.proposals_above, self.proposals))
        return (
            f"{self.floor:g}: proposals find {after:.2f} % of {self.objects:,} objects (IoU {MIN_IOU:g}), and "
            f"{before:.2f} % without it; {fewer:.1f} proposals an image instead of {all_of_them:.1f}"
        )


def choose_floor(truths: Sequence[GroundTruth], proposals: Sequence[Proposals]) -> ScoreFloor:
    """The largest floor that loses at most one of ``OBJECTS_OF_LOSS`` objects, in ``DIGITS``, below every kept score.

    Args:
        truths: ground truth of each image; ignored regions are no objects.
        proposals: proposals of inference without a floor, of the same images in the same pixels.
    """
    needed = [_needed(truth, found) for truth, found in zip(truths, proposals, strict=True)]
    scores = torch.cat([torch.zeros(0), *needed])  # one for each object
    found = scores[scores > 0].sort().values
    may_be_lost = len(scores) // OBJECTS_OF_LOSS
    floor = _below(float(found[may_be_lost])) if len(found) > may_be_lost else 0.0
    objectness = torch.cat([torch.zeros(0), *(each.scores for each in proposals)])
    return ScoreFloor(
        floor,
        objects=len(scores),
        found=len(found),
        found_above=int((found >= floor).sum()),
        images=len(truths),
        proposals=len(objectness),
        proposals_above=int((objectness >= floor).sum()),
    )


def _needed(truth: GroundTruth, proposals: Proposals) -> Float[Tensor, " objects"]:
    """The highest objectness of the proposals that find each object; 0 where none does."""
    overlaps = iou(truth.boxes[~truth.ignored], proposals.boxes)  # (T, P)
    scores = torch.where(overlaps >= MIN_IOU, proposals.scores, 0.0)  # (T, P)
    return torch.cat([torch.zeros(len(scores), 1), scores], dim=1).amax(dim=1)


def _below(score: float) -> float:
    """The largest number of two significant digits below a score.

    >>> _below(0.8349), _below(0.5), _below(1.0)
    (0.83, 0.49, 0.99)
    """
    return float(DIGITS.next_minus(Decimal(score)))


def store_floor(folder: Path, config: Config, val: Split | None, device: torch.device, precision: torch.dtype) -> None:
    """Where the settings of a run are ``auto``, store a floor of objectness in its best and its last model.

    Each gets the floor of its own weights; equal files stay equal. One line logs each choice, or why there is none.
    """
    if config.rpn.score_floor != "auto":
        return
    if (reason := _reason_against(config, val)) is not None or val is None:
        _LOG.info(f"rpn.score_floor=auto: no floor of objectness was chosen, and the models hold 0: {reason}")
        return
    best, last = folder / BEST, folder / LAST
    equal = read_bytes(best) == read_bytes(last)
    _store(best, val, device, precision)
    if not equal:
        _store(last, val, device, precision)
        return
    with atomic_write(last) as temporary:
        temporary.write_bytes(read_bytes(best))


def _reason_against(config: Config, val: Split | None) -> str | None:
    """Why no floor can be chosen for any weights; ``None`` where one can."""
    if config.detector.kind == "fast-rcnn":
        return "a Fast R-CNN has no first stage"
    if val is None:
        return "there is no validation split; --val-share 0.2 takes one from the training images"
    if all(bool(record.truth.ignored.all()) for record in val.records):
        return f"no image of {val.name} has an object"
    return None


def _store(path: Path, val: Split, device: torch.device, precision: torch.dtype) -> None:
    """Choose the floor of the weights in a model file, and write the file anew with it."""
    loaded = _with_floor(load_model(path), 0.0)  # that of a resumed run may hold the floor of an earlier end
    chosen = _measured(loaded, val, device, precision)
    if chosen.floor > 0:
        _LOG.info(f"floor of objectness in {path}: {chosen}")
    else:
        _LOG.info(
            f"rpn.score_floor=auto: no floor of objectness was chosen, and {path} holds 0: proposals find "
            f"{chosen.found} of {chosen.objects:,} objects of {val.name}"
        )
    write_loaded(path, _with_floor(loaded, chosen.floor))


def _measured(loaded: LoadedModel, val: Split, device: torch.device, precision: torch.dtype) -> ScoreFloor:
    """The choice for a detector, which proposes as it does in validation; unreadable images count as absent."""
    detector = validating_predictor(loaded, device, precision, val, None).detector
    readable = [(record.truth, found) for record, found in rpn_proposals(detector, val.records) if found is not None]
    return choose_floor([truth for truth, _ in readable], [found for _, found in readable])


def _with_floor(loaded: LoadedModel, floor: float) -> LoadedModel:
    config = with_score_floor(loaded.config, floor)
    return replace(loaded, model=for_inference_with(config, loaded.model), config=config)


def remark_on_early_end(config: Config) -> None:
    """Log that the models which a run has written before its end have no floor yet."""
    if config.rpn.score_floor == "auto" and config.detector.kind != "fast-rcnn":
        _LOG.info("rpn.score_floor=auto: the floor is chosen when training has ended; models written before hold 0")


def remark_on_floor_of(start: LoadedModel | None, config: Config) -> None:
    """Log where the floor of the detector that training starts from holds, which was chosen for other weights."""
    floor, usual = config.rpn.score_floor, preset(config.preset).rpn.score_floor
    if start is None or floor in ("auto", usual) or floor != start.config.rpn.score_floor:
        return
    _LOG.warning(
        f"rpn.score_floor={floor} of the detector that training starts from drops proposals in training, too; "
        "--set rpn.score_floor=auto chooses a floor for the new weights, --set rpn.score_floor=0 keeps all proposals"
    )
