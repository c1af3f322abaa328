"""The k anchors at one position, and the positions of all levels (section 3.1.1)."""

from __future__ import annotations

import torch
from PIL import Image

from faster_rcnn.errors import OptionError
from faster_rcnn.explanation.plots.choice import first_of, followed_anchor
from faster_rcnn.explanation.plots.features import COLUMNS, chosen_level, listed
from faster_rcnn.explanation.plots.figure import Key, Panel, figure
from faster_rcnn.explanation.plots.heat import draw_heat
from faster_rcnn.explanation.plots.marks import POSITIVE, WHITE, draw_boxes, draw_dashed, draw_dot, draw_tags
from faster_rcnn.explanation.plots.positions import Position, centres_of, position_at, position_of
from faster_rcnn.explanation.plots.receptive_field import SHARE, receptive_box, receptive_field
from faster_rcnn.explanation.plots.view import view_of
from faster_rcnn.explanation.record.lives import PartFates
from faster_rcnn.explanation.record.numbers import anchor_levels, level_numbers
from faster_rcnn.explanation.record.recording import PartRecording, Recording
from faster_rcnn.reporting.drawing.colours import colour_of
from faster_rcnn.rpn.proposals import objectness_logit

MAX_DOTS = 36
"""The largest number of positions that are drawn along a side; finer grids are thinned."""


def plot_anchors(
    recording: Recording, fates: PartFates, at: tuple[float, float] | None = None, level: int | None = None
) -> Image.Image:
    """Draw the k anchors at one position of one level, and the receptive field of their objectness.

    Args:
        recording: a recorded image.
        fates: of the part that is drawn.
        at: a point (x, y) in pixels of the image, whose nearest position is drawn; by default the position of the
            best detection's anchor.
        level: 0 for the finest; by default that of the same anchor.

    Raises ``OptionError`` (E125) for a pass over external proposals, a point outside the part, or no such level.
    """
    part, first = fates.part, first_of(fates)
    place = _chosen_position(recording, fates, at, level)
    boxes = part.in_image(first.anchors.boxes[list(place.anchors)])  # (k, 4)
    scores = objectness_logit(first.output.logits[0, list(place.anchors)]).sigmoid().tolist()
    x, y = ((boxes[0, :2] + boxes[0, 2:]) / 2).tolist()
    order = sorted(range(len(boxes)), key=scores.__getitem__, reverse=True)
    colours = [colour_of(shape) for shape in order]
    field = receptive_field(recording, part, place)
    square = receptive_box(part, first, place, field)
    around = torch.cat((boxes, part.in_image(square)))
    view = view_of(recording, part, 2, around)
    draw_boxes(view, boxes[order], colours, 4)
    draw_tags(view, boxes[order], [f"{scores[shape]:.2f}" for shape in order], colours)
    draw_dot(view, x, y, WHITE, 6)
    keys = [
        Key(f"{x2 - x1:.0f} x {y2 - y1:.0f} pixels, objectness {scores[shape]:.2f}", colour_of(shape))
        for shape, (x1, y1, x2, y2) in zip(order, boxes[order].tolist(), strict=True)
    ]
    name = level_numbers(part)[place.level].name
    title = f"{len(boxes)} anchors at row {place.row}, column {place.column} of {name}"
    shown = view_of(recording, part, 2, around, faded=0.2)
    # The root makes the faint surroundings visible beside the strong centre.
    draw_heat(shown, part, (field / field.max().clamp(min=1e-12)).sqrt())
    draw_dashed(shown, part.in_image(square))
    side = f"{float(square[0, 2] - square[0, 0]):.0f}"
    panels = [Panel(view.picture, title), Panel(shown.picture, f"Receptive field: {side} pixels of the resized image")]
    notes = [
        f"The position lies at x = {x:.0f}, y = {y:.0f} of the image. Brighter pixels change the objectness of its "
        f"anchors more (gradient); {SHARE:.0%} of that lies in the dashed square.",
    ]
    return figure(panels, 2, keys, notes)


def plot_grid(recording: Recording, fates: PartFates) -> Image.Image:
    """Draw the positions of the anchors of each level, fine grids thinned, and the anchors at one of them.

    Raises ``OptionError`` (E125) for a pass over external proposals.
    """
    part, first, by_index = fates.part, first_of(fates), anchor_levels(fates.part)
    levels = list(by_index.values())
    columns = min(COLUMNS, len(levels))
    panels, thinned = [], []
    for index, level in by_index.items():
        shapes = list(position_at(part, first, index, _middle(part)).anchors)
        boxes = part.in_image(first.anchors.boxes[shapes])  # (k, 4)
        view = view_of(recording, part, columns, boxes, faded=0.35)
        step = max(1, -(-max(level.rows, level.columns) // MAX_DOTS))
        centres = centres_of(part, first, index)[step // 2 :: step, step // 2 :: step].flatten(0, 1)  # (dots, 2)
        for x, y in part.in_image(centres.repeat(1, 2))[:, :2].tolist():
            draw_dot(view, x, y, POSITIVE, 3)
        draw_boxes(view, boxes, [colour_of(shape) for shape in range(len(shapes))])
        thinned += [f"one of {step} in each direction of {level.name}"] if step > 1 else []
        panels.append(Panel(view.picture, f"{level.name}: {level.columns} x {level.rows} positions"))
    counts = " + ".join(f"{level.anchors:,}" for level in levels)
    total = f" = {sum(level.anchors for level in levels):,}" if len(levels) > 1 else ""
    notes = [
        f"{levels[0].per_position} anchors at each position: {counts}{total} in all. The boxes are the anchors at the "
        "position in the middle.",
        *([f"Fine grids are thinned: the picture shows {', '.join(thinned)}."] if thinned else []),
    ]
    return figure(panels, columns, [Key("position", POSITIVE, "dot")], notes)


def _chosen_position(
    recording: Recording, fates: PartFates, at: tuple[float, float] | None, level: int | None
) -> Position:
    """The position that a caller names, completed by that of the followed anchor."""
    part, first = fates.part, first_of(fates)
    followed = followed_anchor(recording, fates)
    own = position_of(part, first, followed)
    chosen = chosen_level(level_numbers(part), own.level if level is None else level)
    with_anchors = anchor_levels(part)
    if chosen not in with_anchors:
        raise OptionError(
            f"level {chosen} has no anchors; the levels with anchors are {listed(with_anchors)}", code="E125"
        )
    if at is None and chosen == own.level:
        return own
    x, y = part.in_image(centres_of(part, first, own.level)[own.row, own.column].repeat(2))[:2].tolist()
    inside = min(max(x, part.place.x1), part.place.x2), min(max(y, part.place.y1), part.place.y2)
    return position_at(part, first, chosen, at or inside)


def _middle(part: PartRecording) -> tuple[float, float]:
    return (part.place.x1 + part.place.x2) / 2, (part.place.y1 + part.place.y2) / 2
