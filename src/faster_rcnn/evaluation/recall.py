"""Recall of proposals, whatever comes after them: section 4.1, "Analysis of Recall-to-IoU", and Figure 4.

Recall is the share of truths that a proposal overlaps with at least a given IoU, each proposal counting for one truth
at most, among the best n proposals of each image. Average recall is its mean over IoU 0.50, 0.55 to 0.95 (Hosang
et al., arXiv 1502.05082; COCO's AR). Classes do not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from faster_rcnn.evaluation.coco import ExactDetections, TruthOfImage, columns_of, mean_of_defined
from faster_rcnn.evaluation.engine import AREAS, curves
from faster_rcnn.structures import ClassMap, Detections, GroundTruth, Proposals

COUNTS = (10, 100, 300, 1000)
"""Numbers of proposals of an image, best first, that are reported (Figure 4: 300, 1000 and more)."""
CURVE_COUNTS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000)
"""Numbers of proposals that are measured: the points of a curve, ``COUNTS`` among them."""
IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))

_OBJECT = ClassMap(("object",), (1,))


@dataclass(frozen=True, slots=True)
class ProposalRecall:
    """Recall of proposals over a split; values are 0..1, and ``None`` where there is no truth."""

    images: int
    truths: int
    max_proposals: int
    """The largest number of proposals of an image: with larger numbers nothing changes."""
    recall: Mapping[int, tuple[float | None, ...]]
    """Recall at each of ``IOUS``, by number of proposals (``CURVE_COUNTS``)."""
    average: Mapping[int, Mapping[str, float | None]]
    """Mean over ``IOUS`` for truths of ``all`` sizes, ``small``, ``medium`` and ``large``, by number of proposals."""

    @property
    def unmeasured(self) -> tuple[int, ...]:
        """Those of ``COUNTS`` beyond the first that includes all proposals of every image."""
        return tuple(count for count in COUNTS if any(self.max_proposals <= fewer < count for fewer in COUNTS))

    def to_json(self) -> dict[str, object]:
        """The numbers as JSON, for ``COUNTS``; ``None`` for those that are ``unmeasured``."""
        recall = {count: list(self.recall[count]) for count in COUNTS}
        average = {count: dict(self.average[count]) for count in COUNTS}
        for count in self.unmeasured:
            recall[count] = [None] * len(recall[count])
            average[count] = dict.fromkeys(average[count])
        return {
            "images": self.images,
            "truths": self.truths,
            "most_proposals": self.max_proposals,
            "ious": list(IOUS),
            "recall": {str(count): values for count, values in recall.items()},
            "average_recall": {str(count): values for count, values in average.items()},
        }

    def table(self) -> str:
        """A line for each of ``COUNTS``, and a reason where some are ``unmeasured``."""
        lines = ["proposals  recall at IoU 0.5     0.7     0.9   average   small  medium   large"]
        for count in COUNTS:
            values = self.recall[count]
            shown = (values[0], values[4], values[8], *(self.average[count][size] for size in AREAS))
            at_50, *others = ("n/a" if each is None else f"{each:.3f}" for each in shown)
            if count in self.unmeasured:
                at_50, *others = ["-"] * len(shown)
            lines.append(f"{count:>9}{at_50:>20}" + "".join(f"{each:>8}" for each in others))
        if self.unmeasured:
            numbers = ", ".join(map(str, self.unmeasured))
            lines.append(
                f"at most {self.max_proposals} proposals of an image, so that recall is not measured for {numbers}"
            )
        return "\n".join(lines)


def measure_proposals(truths: Sequence[TruthOfImage], proposals: Sequence[Proposals]) -> ProposalRecall:
    """Recall of proposals, in original pixels and best first, for the same images in the same order as ``truths``."""
    columns = columns_of([_without_class(one) for one in truths], [_as_detections(each) for each in proposals], _OBJECT)
    recall = curves(columns, CURVE_COUNTS).recall[:, 0]  # thresholds x areas x counts
    return ProposalRecall(
        images=len(truths),
        truths=int((~columns.truths.ignored).sum()),
        max_proposals=max((len(each.boxes) for each in proposals), default=0),
        recall={
            count: tuple(_defined(each) for each in recall[:, 0, index]) for index, count in enumerate(CURVE_COUNTS)
        },
        average={
            count: {size: mean_of_defined(recall[:, place, index]) for place, size in enumerate(AREAS)}
            for index, count in enumerate(CURVE_COUNTS)
        },
    )


def _without_class(one: TruthOfImage) -> TruthOfImage:
    truth = one.truth
    return replace(one, truth=GroundTruth(truth.boxes, torch.zeros_like(truth.labels), truth.ignored))


def _as_detections(proposals: Proposals) -> ExactDetections:
    """Detections that rank in the order of the proposals: equal scores would be reordered otherwise."""
    count = len(proposals.boxes)
    labels = torch.zeros(count, dtype=torch.int64)
    ranks = torch.arange(count, 0, -1, dtype=torch.float64)
    return replace(ExactDetections.of(Detections(proposals.boxes, proposals.scores, labels)), scores=ranks)


def _defined(value: float) -> float | None:
    return None if value == -1 else float(value)
