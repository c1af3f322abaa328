"""The life of a box: its anchor, its proposal and its output, with the score of each step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from faster_rcnn.explanation.record.fates import (
    AnchorFates,
    AnchorScores,
    RegionFates,
    anchor_fates,
    anchor_scores,
    region_fates,
)
from faster_rcnn.explanation.record.recording import PartRecording, Recording
from faster_rcnn.ops.boxes import iou

Corners = tuple[float, float, float, float]
"""A box (x1, y1, x2, y2) in pixels of the image."""


@dataclass(frozen=True, slots=True)
class Life:
    """The steps of one box; a step that the detector does not have, or that the box did not reach, is ``None``."""

    part: int
    """Index of the part in the recording."""
    label: int
    """The class whose box and score this is."""
    anchor: int | None = None
    """Index among the anchors of the part."""
    anchor_box: Corners | None = None
    objectness: float | None = None
    """0..1."""
    rank: int | None = None
    """Rank by objectness within the level of the anchor, the best is 1."""
    proposal: int | None = None
    """Index among the proposals of the part."""
    proposal_box: Corners | None = None
    """After the first transform."""
    score: float | None = None
    """Probability of the class, 0..1."""
    background: float | None = None
    """Probability of background, 0..1."""
    rival: tuple[int, float] | None = None
    """The label of the most probable other class, and its probability; ``None`` where there is no other class."""
    box: Corners | None = None
    """After the second transform."""

    def ious(self, truth: Float[Tensor, " corners"]) -> tuple[float | None, float | None, float | None]:
        """IoU of the anchor, of the proposal and of the output with a box in pixels of the image."""
        steps = (self.anchor_box, self.proposal_box, self.box)
        first, second, third = (None if step is None else _iou(step, truth) for step in steps)
        return first, second, third


@dataclass(frozen=True, eq=False)
class PartFates:
    """The fates of all candidates of a part, each computed when it is first asked for."""

    index: int
    """Index of the part in its recording."""
    part: PartRecording

    @cached_property
    def scores(self) -> AnchorScores | None:
        """The scores and decoded boxes of the anchors; ``None`` for external proposals."""
        return None if self.part.first is None else anchor_scores(self.part, self.part.first)

    @cached_property
    def anchors(self) -> AnchorFates | None:
        """The fates of the anchors; ``None`` for external proposals."""
        return None if self.part.first is None else anchor_fates(self.part, self.part.first)

    @cached_property
    def regions(self) -> RegionFates | None:
        """The fates of the proposals, as each class; ``None`` without a second stage."""
        return None if self.part.second is None else region_fates(self.part, self.part.second)

    def life_of_anchor(self, anchor: int, label: int) -> Life:
        """The life of a box that did not become a proposal."""
        part, scores = self.part, self.scores
        if part.first is None or scores is None:
            raise ValueError("external proposals have no anchors")
        return Life(
            part=self.index,
            label=label,
            anchor=anchor,
            anchor_box=corners(part.in_image(part.first.anchors.boxes[anchor])),
            objectness=float(scores.objectness[anchor]),
            rank=int(scores.ranks[anchor]),
            proposal_box=corners(part.in_image(scores.boxes[anchor])),
        )

    def life_of_region(self, proposal: int, label: int) -> Life:
        """The life of a proposal as one class."""
        part, fates = self.part, self.regions
        anchors = part.proposals.anchors
        start = Life(self.index, label) if anchors is None else self.life_of_anchor(int(anchors[proposal]), label)
        box = corners(part.in_image(part.proposals.boxes[proposal]))
        if fates is None:
            score = float(part.proposals.scores[proposal])
            return replace(start, proposal=proposal, proposal_box=box, score=score, box=box)
        row = fates.probabilities[proposal]
        return replace(
            start,
            proposal=proposal,
            proposal_box=box,
            score=float(row[label]),
            background=float(row[-1]),
            rival=_rival(row, label),
            box=corners(part.in_image(fates.boxes[proposal, label])),
        )


def fates_of(recording: Recording) -> tuple[PartFates, ...]:
    """The fates of the candidates of each part of a recording."""
    return tuple(PartFates(index, part) for index, part in enumerate(recording.parts))


def life_of_detection(recording: Recording, fates: tuple[PartFates, ...], detection: int) -> Life:
    """The life of a detection, by its index in ``recording.detections``.

    A detection that was joined from pieces in several tiles has the life of its best-scored piece.
    """
    found = recording.detections
    if found.proposals is None:
        raise ValueError("these detections have no proposals")
    part = 0 if found.parts is None else int(found.parts[detection])
    return fates[part].life_of_region(int(found.proposals[detection]), int(found.labels[detection]))


def corners(box: Float[Tensor, " corners"]) -> Corners:
    """A box as four numbers."""
    x1, y1, x2, y2 = box.tolist()
    return x1, y1, x2, y2


def _rival(probabilities: Float[Tensor, " outputs"], label: int) -> tuple[int, float] | None:
    others = probabilities[:-1].clone()
    if len(others) < 2:
        return None
    others[label] = -1
    best = int(others.argmax())
    return best, float(others[best])


def _iou(box: Corners, truth: Float[Tensor, " corners"]) -> float:
    return float(iou(torch.tensor([box], dtype=torch.float64), truth.double().cpu()[None])[0, 0])
