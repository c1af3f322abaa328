"""Anchors in training: positive, negative and neutral, and the sampled mini-batch (sections 3.1.2 and 3.1.3)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Int
from PIL import Image, ImageDraw
from torch import Tensor

from faster_rcnn.explanation.plots.choice import first_of, truth_of
from faster_rcnn.explanation.plots.figure import FAINT, INK, LETTERS, Key, Panel, cell_width, figure, stacked, write
from faster_rcnn.explanation.plots.marks import NEGATIVE, NEUTRAL, POSITIVE, WHITE, draw_boxes, draw_dashed
from faster_rcnn.explanation.plots.view import View, view_of
from faster_rcnn.explanation.record.assignment import assigned_anchors, sampled_anchors
from faster_rcnn.explanation.record.lives import PartFates
from faster_rcnn.explanation.record.numbers import (
    IOU_BINS,
    AssignmentNumbers,
    numbers_of_matches,
    sample_numbers,
)
from faster_rcnn.explanation.record.recording import Recording
from faster_rcnn.reporting.drawing.colours import Colour

MAX_BOXES = 150
"""The largest number of positive or sampled anchors that are drawn; of more, evenly many are left out."""
MAX_NEUTRAL = 60
"""The largest number of neutral anchors that are drawn: there are often thousands, which would hide the image."""
TRUTH = Key("truth", WHITE, "dashed")


def plot_assignment(recording: Recording, fates: PartFates) -> Image.Image:
    """Draw the anchors that the truths make positive and neutral, and the histogram of all anchors' best IoUs.

    Raises ``OptionError`` (E125) where the truth is not known, and for a pass over external proposals.
    """
    part, first, truth = fates.part, first_of(fates), truth_of(recording)
    matches = assigned_anchors(part, first, truth)
    numbers = numbers_of_matches(part, first, matches)
    neutral = ~(matches.positive | matches.negative)
    panels = []
    for kind, mask, colour, most in (
        ("positive", matches.positive, POSITIVE, MAX_BOXES),
        ("neutral", neutral, NEUTRAL, MAX_NEUTRAL),
    ):
        chosen = torch.nonzero(mask)[:, 0]
        view, drawn = _anchors_view(recording, fates, chosen, colour, most)
        panels.append(Panel(view.picture, f"{len(chosen):,} {kind} anchors{drawn}"))
    crossing = f" Of the neutral, {numbers.crossing:,} cross the border of the image." if numbers.crossing else ""
    total = numbers.positive + numbers.negative + numbers.neutral
    notes = [
        f"Positive: IoU of at least {numbers.positive_iou:g} with a truth, or the best anchor of a truth "
        f"({numbers.positives_below} of them are below). Negative: IoU below {numbers.negative_iou:g} with every "
        f"truth. Neutral anchors take no part in training. {numbers.positive:,} + {numbers.negative:,} + "
        f"{numbers.neutral:,} = {total:,} anchors.{crossing}",
    ]
    bars = Panel(_histogram(numbers), "All anchors by their highest IoU with a truth (bars: number, on a log scale)")
    keys = [Key("positive", POSITIVE), Key("neutral", NEUTRAL), Key("negative", NEGATIVE), TRUTH]
    return stacked(figure(panels, 2), figure([bars], keys=keys, notes=notes))


def plot_sample(recording: Recording, fates: PartFates, seed: int = 0) -> Image.Image:
    """Draw the mini-batch of anchors that training would choose for a seed: the positives beside the negatives.

    Raises ``OptionError`` (E125) where the truth is not known, and for a pass over external proposals.
    """
    part, first, truth = fates.part, first_of(fates), truth_of(recording)
    chosen, numbers = sampled_anchors(part, first, truth, seed), sample_numbers(part, first, truth, seed)
    panels = []
    for kind, mask, colour in (
        ("positive", chosen.positive, POSITIVE),
        ("negative", chosen.used & ~chosen.positive, NEGATIVE),
    ):
        view, drawn = _anchors_view(recording, fates, chosen.indices[mask], colour)
        panels.append(Panel(view.picture, f"{int(mask.sum())} {kind} anchors{drawn}"))
    notes = [
        f"A mini-batch has {numbers.size} anchors of an image, at most {numbers.max_positive} of them positive. Both "
        "losses of the first stage are computed on these anchors alone: objectness on all, the transform on the "
        "positive ones. Training draws another mini-batch in every epoch.",
    ]
    return figure(panels, 2, [TRUTH], notes)


def _anchors_view(
    recording: Recording, fates: PartFates, anchors: Int[Tensor, " anchors"], colour: Colour, most: int = MAX_BOXES
) -> tuple[View, str]:
    """Some anchors on the image, with its truths; and how many are drawn, where not all are."""
    part, first = fates.part, first_of(fates)
    step = max(1, math.ceil(len(anchors) / most))
    drawn = anchors[::step]
    view = view_of(recording, part, 2, faded=0.25)
    draw_boxes(view, part.in_image(first.anchors.boxes[drawn]), colour, 2)
    draw_dashed(view, truth_of(recording).boxes)
    return view, f", {len(drawn)} drawn" if step > 1 else ""


def _histogram(numbers: AssignmentNumbers) -> Image.Image:
    """The histogram of IoUs with the limits of positive and negative anchors."""
    width, height, left, bottom = cell_width(1), 260, 96, 40
    picture = Image.new("RGB", (width, height), (255, 255, 255))
    canvas = ImageDraw.Draw(picture)
    step, floor, top = (width - left - 20) / IOU_BINS, height - bottom, 14
    decades = max(1, math.ceil(math.log10(max(*numbers.histogram, 2))))
    tall = (floor - top) / (decades + 0.3)
    for decade in range(decades + 1):
        y = floor - tall * (decade + 0.3)
        canvas.line((left, y, width - 20, y), fill=(225, 225, 228))
        text = f"{10**decade:,}"
        write(canvas, (left - 10 - canvas.textlength(text, font_size=LETTERS), y), text, FAINT)
    for place, count in enumerate(numbers.histogram):
        low = place / IOU_BINS
        colour = POSITIVE if low >= numbers.positive_iou else NEGATIVE if low < numbers.negative_iou else NEUTRAL
        high = floor - tall * (math.log10(count) + 0.3) if count else floor
        box = (left + step * place + 2, high, left + step * (place + 1) - 2, floor)
        if count:
            canvas.rectangle(box, fill=colour, outline=INK)
    for value in (0.0, numbers.negative_iou, numbers.positive_iou, 1.0):
        x = left + step * IOU_BINS * value
        canvas.line((x, top, x, floor + 6), fill=INK, width=2)
        text = f"{value:g}"
        write(canvas, (x - canvas.textlength(text, font_size=LETTERS) / 2, floor + 22), text, INK)
    canvas.line((left, floor, width - 20, floor), fill=INK, width=2)
    return picture
