"""The two chances to correct a box: from anchor to proposal, and from proposal to output (sections 3.1.2 and 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from PIL import Image

from faster_rcnn.explanation.plots.choice import (
    best_proposals,
    chosen_detection,
    chosen_proposal,
    detections_of_part,
    first_of,
    second_of,
)
from faster_rcnn.explanation.plots.figure import Key, Panel, Text, figure, joined
from faster_rcnn.explanation.plots.marks import WHITE, draw_dashed, draw_moves, draw_tags
from faster_rcnn.explanation.plots.view import view_of
from faster_rcnn.explanation.record.lives import Corners, Life, PartFates
from faster_rcnn.explanation.record.recording import Recording
from faster_rcnn.ops.boxes import iou
from faster_rcnn.reporting.drawing.colours import colour_of
from faster_rcnn.reporting.drawing.fonts import letterings

SHOWN = 6
"""The number of boxes that are drawn where the caller names none."""


def plot_first_transform(
    recording: Recording, fates: PartFates, proposal: int | None = None, top: int = SHOWN
) -> Image.Image:
    """Draw arrows from anchors to the proposals that their deltas make of them, with the IoU before and after.

    Args:
        recording: a recorded image; IoUs are with the nearest truth, where truths are known.
        fates: of the part that is drawn.
        proposal: one proposal, by its index; by default those of the best detections, then the best proposals.
        top: how many are drawn where none is named.

    Raises ``OptionError`` (E125) for a pass over external proposals, without a proposal, or for no such proposal.
    """
    first_of(fates)
    named = chosen_proposal(recording, fates, proposal)
    chosen = best_proposals(recording, fates, top) if proposal is None else [named]
    moves, texts = [], []
    for index in chosen:
        life = fates.life_of_region(index, 0)
        if life.anchor_box is None or life.proposal_box is None:
            raise ValueError("a proposal of the first stage has an anchor")
        moves.append((life.anchor_box, life.proposal_box))
        texts.append(f"objectness {life.objectness or 0:.2f}")
    return _moves_figure(recording, fates, moves, texts, "First transform: anchors (dashed) become proposals")


def plot_second_transform(
    recording: Recording, fates: PartFates, detection: int | None = None, top: int = SHOWN
) -> Image.Image:
    """Draw arrows from proposals to the boxes that their second deltas make of them, with the IoU before and after.

    Args:
        recording: a recorded image; IoUs are with the nearest truth, where truths are known.
        fates: of the part that is drawn.
        detection: one detection of this part, by its index in ``recording.detections``; by default the best reported
            ones. A part without any follows its best proposals, each as the class that it resembles most.
        top: how many are drawn where none is named.

    Raises ``OptionError`` (E125) for a first stage alone, without a proposal, or for no such detection in the part.
    """
    second_of(fates)
    lives = _best_lives(recording, fates, top)
    if detection is not None:
        lives = [chosen_detection(recording, fates, detection)]
    names = letterings(recording.classes)
    moves, texts = [], []
    for life in lives:
        if life.proposal_box is None or life.box is None:
            raise ValueError("a region of the second stage has a box before and after its transform")
        moves.append((life.proposal_box, life.box))
        texts.append(joined(names[life.label], f" {life.score or 0:.2f}"))
    return _moves_figure(recording, fates, moves, texts, "Second transform: proposals (dashed) become output boxes")


class Nearest(NamedTuple):
    """The truth that is nearest to a box after its transform."""

    truth: int
    """Its index."""
    before: float
    """IoU with the box before the transform."""
    after: float


def nearest_truth(recording: Recording, before: Corners, after: Corners) -> Nearest | None:
    """The truth of the highest IoU with a box after its transform; ``None`` where no truth touches the box."""
    truth = recording.truth
    if truth is None or bool(truth.ignored.all()):
        return None
    wanted = torch.nonzero(~truth.ignored)[:, 0]
    boxes = torch.tensor([before, after], dtype=torch.float64)
    ious = iou(boxes, truth.boxes[wanted].double())  # (2, T)
    best = int(ious[1].argmax())
    return Nearest(int(wanted[best]), float(ious[0, best]), float(ious[1, best])) if ious[1, best] > 0 else None


def _best_lives(recording: Recording, fates: PartFates, top: int) -> list[Life]:
    """The lives of the best reported detections of a part, else of its best proposals."""
    reported = len(recording.reported)
    known = [index for index in detections_of_part(recording, fates) if index < reported]
    if known:
        return [chosen_detection(recording, fates, index) for index in known[:top]]
    chosen_proposal(recording, fates, None)  # raises where there is none
    if fates.regions is None:
        raise ValueError("a first stage alone has no regions")
    likely = fates.regions.probabilities[:, :-1].argmax(dim=1).tolist()
    return [fates.life_of_region(index, likely[index]) for index in best_proposals(recording, fates, top)]


def _moves_figure(
    recording: Recording, fates: PartFates, moves: Sequence[tuple[Corners, Corners]], texts: Sequence[Text], title: str
) -> Image.Image:
    """A figure of numbered boxes before and after a transform, with a key that names each."""
    before, after = (torch.tensor([move[step] for move in moves]) for step in (0, 1))  # (N, 4) each
    view = view_of(recording, fates.part, around=torch.cat((before, after)), faded=0.15)
    colours = [colour_of(index) for index in range(len(moves))]
    nearest = [nearest_truth(recording, *move) for move in moves]
    if recording.truth is not None:
        draw_dashed(view, recording.truth.boxes[sorted({each.truth for each in nearest if each is not None})])
    draw_moves(view, before, after, colours)
    numbers = [str(index + 1) for index in range(len(moves))]
    draw_tags(view, after, numbers, colours)
    keys = []
    for number, text, truth, colour in zip(numbers, texts, nearest, colours, strict=True):
        change = "" if truth is None else f", IoU {truth.before:.2f} -> {truth.after:.2f}"
        keys.append(Key(joined(f"{number}: ", text, change), colour))
    if any(nearest):
        keys.append(Key("nearest truth", WHITE, "dashed"))
    return figure([Panel(view.picture, title)], keys=keys)
