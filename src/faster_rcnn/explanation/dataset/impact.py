"""Impact: what AP would be were one kind of error mended, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from faster_rcnn.evaluation.coco import columns_of, measure
from faster_rcnn.evaluation.engine import TideErrors, tide_errors
from faster_rcnn.evaluation.split import truths_of
from faster_rcnn.explanation.causes.false_positives import FalseKind
from faster_rcnn.explanation.causes.kinds import ORDER, Thresholds, VerdictKind
from faster_rcnn.explanation.dataset.judged import JudgedImage
from faster_rcnn.explanation.dataset.mending import Mending
from faster_rcnn.structures import ClassMap, Detections

ORACLES = ("proposals", "classes", "boxes", "all")
"""Names of the oracles: each mends one step of the detector, the last mends all."""


@dataclass(frozen=True, slots=True)
class Effect:
    """AP with one kind of error mended."""

    count: int
    """Number of truths or detections of this kind; 0 for an oracle, which mends whatever there is."""
    ap: float | None
    """COCO's AP after mending; ``None`` where no truth defines it."""
    ap50: float | None


@dataclass(frozen=True, slots=True)
class Impact:
    """AP of the detections as they are, and with each kind of error mended by itself."""

    ap: float | None
    """COCO's AP of all detections, whatever their score, as ``evaluate`` measures it."""
    ap50: float | None
    verdicts: Mapping[VerdictKind, Effect]
    """Were all truths of a verdict found; only the verdicts on missed truths that occur."""
    false_positives: Mapping[FalseKind, Effect]
    """Were there no false positives of a kind; only the kinds that occur."""
    oracles: Mapping[str, Effect]
    """By the names in ``ORACLES``."""

    def gain(self, effect: Effect) -> float | None:
        """How much AP rises by an effect; ``None`` where no truth defines AP."""
        return None if effect.ap is None or self.ap is None else effect.ap - self.ap

    def to_json(self) -> dict[str, Any]:
        """The impact as plain values."""
        return {
            "AP": self.ap,
            "AP50": self.ap50,
            "verdicts": {kind.value: _json(each) for kind, each in self.verdicts.items()},
            "false_positives": {kind.value: _json(each) for kind, each in self.false_positives.items()},
            "oracles": {name: {"AP": each.ap, "AP50": each.ap50} for name, each in self.oracles.items()},
        }


@dataclass(frozen=True, slots=True)
class Tide:
    """TIDE's numbers of the same detections (Bolya et al., arXiv 2008.08115), by the package that measures AP."""

    delta_ap: Mapping[str, float]
    """How much AP at the IoU threshold rises without each kind of error, over all detections; TIDE's dAP, 0..1."""
    counts: Mapping[str, int]
    """Number of errors of each kind among the reported detections, and of truths that they miss."""

    def to_json(self) -> dict[str, Any]:
        """The numbers as plain values."""
        return asdict(self)


def impact_of(images: Sequence[JudgedImage], classes: ClassMap) -> Impact:
    """Measure AP of judged images as they are and with each kind of error mended; about 20 evaluations."""
    mendings = [Mending.of(each.detections, each.record.truth) for each in images]
    stand_ins = [each.stand_ins() for each in mendings]

    def effect(count: int, detections: Callable[[int], Detections]) -> Effect:
        found = [detections(place) for place in range(len(images))]
        metrics = measure(truths_of([each.record for each in images]), found, classes)
        return Effect(count, metrics.ap, metrics.ap50)

    def were_found(kind: VerdictKind) -> Effect:
        wanted = [[one.verdict.truth for one in each.truths if one.verdict.kind == kind] for each in images]
        return effect(_total(wanted), lambda place: mendings[place].with_found(wanted[place], stand_ins[place]))

    def were_gone(kind: FalseKind) -> Effect:
        gone = [[one for one in each.false_positives if one.kind == kind] for each in images]
        return effect(_total(gone), lambda place: mendings[place].without(gone[place]))

    plain = effect(0, lambda place: images[place].detections)
    verdicts = {one.verdict.kind for each in images for one in each.truths}
    kinds = {one.kind for each in images for one in each.false_positives}
    oracles = (
        effect(0, lambda place: images[place].oracles.proposals),
        effect(0, lambda place: images[place].oracles.classes),
        effect(0, lambda place: mendings[place].with_true_boxes()),
        effect(0, lambda place: images[place].oracles.everything),
    )
    return Impact(
        plain.ap,
        plain.ap50,
        {kind: were_found(kind) for kind in ORDER[:-1] if kind in verdicts},
        {kind: were_gone(kind) for kind in FalseKind if kind in kinds},
        dict(zip(ORACLES, oracles, strict=True)),
    )


def tide_of(images: Sequence[JudgedImage], classes: ClassMap, thresholds: Thresholds) -> Tide | None:
    """TIDE's numbers of judged images; ``None`` without hotcoco, which alone computes them."""

    def errors(conf: float) -> TideErrors | None:
        found = [each.detections.above(conf) for each in images]
        truths = truths_of([each.record for each in images])
        return tide_errors(columns_of(truths, found, classes), thresholds.iou)

    of_all, of_reported = errors(0.0), errors(thresholds.conf)
    return None if of_all is None or of_reported is None else Tide(of_all.delta_ap, of_reported.counts)


def _total(lists: Sequence[Sequence[object]]) -> int:
    return sum(map(len, lists))


def _json(effect: Effect) -> dict[str, Any]:
    return {"count": effect.count, "AP": effect.ap, "AP50": effect.ap50}
