"""The class probabilities of one region (Fast R-CNN, section 2: the softmax over K + 1 classes)."""

from __future__ import annotations

from PIL import Image, ImageDraw

from faster_rcnn.explanation.plots.choice import chosen_proposal, second_of
from faster_rcnn.explanation.plots.figure import (
    FAINT,
    INK,
    LETTERS,
    LINE,
    Panel,
    Text,
    cell_width,
    figure,
    lettering,
    write,
)
from faster_rcnn.explanation.plots.marks import draw_boxes
from faster_rcnn.explanation.plots.view import view_of
from faster_rcnn.explanation.record.lives import PartFates
from faster_rcnn.explanation.record.recording import Recording
from faster_rcnn.reporting.drawing.colours import Colour, colour_of
from faster_rcnn.reporting.drawing.fonts import letterings

MAX_BARS = 8
"""The largest number of classes with a bar of their own."""
NAMES = 0.42
"""The share of the width that names take."""

Row = tuple[Text, float, Colour]
"""Name, probability and colour of a bar."""


def plot_probabilities(recording: Recording, fates: PartFates, proposal: int | None = None) -> Image.Image:
    """Draw the probabilities of the classes and of background for one region, the region beside them.

    Args:
        recording: a recorded image.
        fates: of the part that is drawn.
        proposal: the region, by the index of its proposal; by default that of the best detection.

    Raises ``OptionError`` (E125) for a first stage alone, without a proposal, or for no such proposal.
    """
    second_of(fates)
    chosen = chosen_proposal(recording, fates, proposal)
    rows = probability_rows(recording, fates, chosen)
    view = view_of(recording, fates.part, 2, faded=0.1)
    likely = max(rows, key=lambda row: row[1])
    draw_boxes(view, fates.part.in_image(fates.part.proposals.boxes[chosen][None]), likely[2], 4)
    panels = [
        Panel(view.picture, f"Proposal {chosen}, objectness {float(fates.part.proposals.scores[chosen]):.2f}"),
        Panel(_bars(rows), "Probability of each class"),
    ]
    return figure(panels, 2)


def probability_rows(recording: Recording, fates: PartFates, proposal: int) -> list[Row]:
    """The most probable classes of a region, best first, then all others as one row, then background.

    They sum to 1. Outputs without a class, such as COCO's unused ids, are among the others.
    """
    if fates.regions is None:
        raise ValueError("a first stage alone has no regions")
    values = fates.regions.probabilities[proposal].tolist()
    names = letterings(recording.classes)
    labels = [label for label in range(len(recording.classes)) if label not in recording.classes.holes]
    best = sorted(labels, key=values.__getitem__, reverse=True)[:MAX_BARS]
    rows: list[Row] = [(names[label], values[label], colour_of(label)) for label in best]
    rest = [value for label, value in enumerate(values[:-1]) if label not in best]
    if rest:
        rows.append((f"{len(rest)} others", sum(rest), FAINT))
    return [*rows, ("background", values[-1], FAINT)]


def _bars(rows: list[Row]) -> Image.Image:
    """A bar for each row, with its name at the left and its probability at the right."""
    width, high = cell_width(2), LINE + 10
    picture = Image.new("RGB", (width, high * len(rows)), (255, 255, 255))
    canvas = ImageDraw.Draw(picture)
    left = round(NAMES * width)
    room = width - left - 62
    for number, (name, value, colour) in enumerate(rows):
        middle = high * (number + 0.5)
        written = lettering(name)
        kept = len(written.text) - 1
        while written.width(LETTERS) > left - 12 and kept > 3:
            written, kept = lettering(name).shortened(kept), kept - 1
        write(canvas, (left - 10 - written.width(LETTERS), middle - 2), written, INK)
        canvas.rectangle((left, middle - 12, left + room, middle + 12), fill=(240, 241, 243))
        if value * room >= 1:
            canvas.rectangle((left, middle - 12, left + value * room, middle + 12), fill=colour, outline=INK)
        write(canvas, (left + room + 8, middle - 2), f"{value:.3f}"[:5], FAINT)
    return picture
