"""The objectness of each position, level by level (section 3.1: the RPN's classification)."""

from __future__ import annotations

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from faster_rcnn.explanation.plots.choice import first_of
from faster_rcnn.explanation.plots.features import COLUMNS
from faster_rcnn.explanation.plots.figure import Panel, cell_width, figure
from faster_rcnn.explanation.plots.heat import colour_bar, draw_heat
from faster_rcnn.explanation.plots.marks import draw_dashed
from faster_rcnn.explanation.plots.view import view_of
from faster_rcnn.explanation.record.lives import PartFates
from faster_rcnn.explanation.record.numbers import anchor_levels, objectness_numbers
from faster_rcnn.explanation.record.recording import FirstStage, PartRecording, Recording
from faster_rcnn.rpn.proposals import objectness_logit


def plot_objectness(recording: Recording, fates: PartFates) -> Image.Image:
    """Draw the best objectness of the k anchors at each position of each level; truths, where known, are dashed.

    Raises ``OptionError`` (E125) for a pass over external proposals.
    """
    part, first = fates.part, first_of(fates)
    levels, numbers = list(anchor_levels(part).values()), objectness_numbers(part, first)
    columns = min(COLUMNS, len(levels))
    plain = view_of(recording, part, columns, faded=0.2)
    panels = []
    for values, level in zip(objectness_maps(part, first).values(), numbers, strict=True):
        view = plain.copy()
        draw_heat(view, part, values)
        if recording.truth is not None:
            draw_dashed(view, recording.truth.boxes, thick=2)
        panels.append(Panel(view.picture, f"{level.name}: best {level.best:.2f}"))
    panels.append(Panel(colour_bar(cell_width(columns), "0", "1"), "Objectness"))
    above = sum(each.above_half for each in numbers)
    notes = [
        f"Each square is one position, in the colour of the best of its {levels[0].per_position} anchors. Of all "
        f"{sum(each.anchors for each in levels):,} anchors, {above:,} exceed 0.5."
    ]
    return figure(panels, columns, notes=notes)


def objectness_maps(part: PartRecording, first: FirstStage) -> dict[int, Float[Tensor, "_ _"]]:
    """The best objectness, 0..1, of the anchors at each position (rows, columns) of each level that has anchors."""
    values = objectness_logit(first.output.logits[0]).sigmoid().split(first.anchors.per_level)  # (A of level,) each
    return {
        index: values[index].unflatten(0, (level.rows, level.columns, level.per_position)).amax(dim=2)
        for index, level in anchor_levels(part).items()
    }
