"""The frames of the film: the first stage slides over the features, then proposals and detections appear.

Figure 3 of the paper in motion: a small window slides over a feature map; at each position the objectness of k anchors
is predicted. Convolutions compute all positions concurrently, of course: the film shows one after another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw

from faster_rcnn.explanation.plots.choice import first_of, followed_anchor
from faster_rcnn.explanation.plots.figure import INK, LINE, PAPER, wrapped, write
from faster_rcnn.explanation.plots.heat import colour_at, draw_heat
from faster_rcnn.explanation.plots.marks import draw_boxes, draw_dashed, draw_tags
from faster_rcnn.explanation.plots.objectness import objectness_maps
from faster_rcnn.explanation.plots.positions import position_of
from faster_rcnn.explanation.plots.proposals import best_before_nms
from faster_rcnn.explanation.plots.view import View, view_of
from faster_rcnn.explanation.record.lives import PartFates
from faster_rcnn.explanation.record.numbers import LevelNumbers, level_numbers, proposal_numbers
from faster_rcnn.explanation.record.recording import Recording
from faster_rcnn.reporting.drawing.colours import colour_of
from faster_rcnn.reporting.drawing.fonts import letterings
from faster_rcnn.structures import Proposals
from faster_rcnn.system.wording import count_of

STOPS = 7
"""The largest number of positions along a side at which the window stops."""
BOXES = 40
"""The number of boxes that are drawn before and after NMS."""
GROUPS = 4
"""The number of steps in which boxes appear."""
CAPTION = 3
"""Lines of text under the image."""
MIN_WIDTH = 440
"""The least width of a frame in pixels, so that its caption fits; a narrower image has white beside it."""


@dataclass(frozen=True, slots=True, eq=False)
class FilmFrame:
    """A picture, and how long it is shown."""

    picture: Image.Image
    milliseconds: int


@dataclass(frozen=True, slots=True, eq=False)
class _Stage:
    """What all scenes of a film share."""

    recording: Recording
    fates: PartFates
    plain: View
    """The image."""
    faded: View

    def frame(self, view: View, caption: str, milliseconds: int) -> FilmFrame:
        """A view with a caption under it."""
        picture = view.picture
        width = max(picture.width, MIN_WIDTH)
        sheet = Image.new("RGB", (width, picture.height + CAPTION * LINE + 8), PAPER)
        sheet.paste(picture, ((width - picture.width) // 2, 0))
        canvas = ImageDraw.Draw(sheet)
        for number, line in enumerate(wrapped(caption, width - 16)):
            write(canvas, (8, picture.height + 4 + LINE * (number + 0.5)), line, INK)
        return FilmFrame(sheet, milliseconds)


def film_frames(recording: Recording, fates: PartFates, side: int) -> Iterator[FilmFrame]:
    """The frames of the film of one part of an image, whose pictures are at most ``side`` pixels wide and high.

    Raises ``OptionError`` (E125) for a pass over external proposals, which has no first stage.
    """
    first_of(fates)
    room = side, side
    plain, faded = (view_of(recording, fates.part, faded=share, room=room) for share in (0.0, 0.25))
    stage = _Stage(recording, fates, plain, faded)
    yield from _sliding(stage)
    yield from _proposing(stage)
    if fates.part.second is not None:
        yield from _detecting(stage)


def stops_along(count: int) -> list[int]:
    """The positions along a side at which the window stops: evenly many, the last one included.

    >>> stops_along(4), stops_along(21)
    ([0, 1, 2, 3], [2, 5, 8, 11, 14, 17, 20])
    """
    stops = min(STOPS, count)
    return [(index + 1) * count // stops - 1 for index in range(stops)]


def _sliding(stage: _Stage) -> Iterator[FilmFrame]:
    """The window slides over the level of the followed anchor; where it has been, the objectness appears."""
    recording, fates = stage.recording, stage.fates
    part, first = fates.part, first_of(fates)
    index = position_of(part, first, followed_anchor(recording, fates)).level
    level = level_numbers(part)[index]
    size = fates.part.size
    intro = f"The backbone turns {size.width} x {size.height} pixels into features: {level.name} has {level.columns} x "
    yield stage.frame(stage.plain, f"{intro}{level.rows} of them, each of {level.channels} channels.", 1000)
    window = 1 + 2 * len(recording.predictor.detector.model.rpn.head.convs)
    caption = (
        f"A {window} x {window} window slides over {level.name}. At each position it predicts how likely each of "
        f"{count_of(level.per_position, 'anchor')} holds an object."
    )
    heated = stage.faded.copy()
    draw_heat(heated, part, objectness_maps(part, first)[index])
    start, above = sum(first.anchors.per_level[:index]), 0
    for row in stops_along(level.rows):
        for column in stops_along(level.columns):
            view = stage.plain.copy()
            _reveal(stage, view, heated, level, (above, row, column))
            place = start + (row * level.columns + column) * level.per_position
            boxes = part.in_image(first.anchors.boxes[place : place + level.per_position])
            draw_boxes(view, boxes, [colour_of(shape) for shape in range(len(boxes))])
            half = window / 2
            cell = [[column + 0.5 - half, row + 0.5 - half, column + 0.5 + half, row + 0.5 + half]]
            draw_dashed(view, part.in_image(torch.tensor(cell) * torch.tensor(_cell(stage, level))))
            yield stage.frame(view, caption, 100)
        above = row + 1
    yield stage.frame(heated, f"The objectness of the best anchor at each position of {level.name}.", 600)


def _proposing(stage: _Stage) -> Iterator[FilmFrame]:
    """The best boxes appear, and NMS removes duplicates."""
    part, anchors = stage.fates.part, stage.fates.anchors
    if anchors is None:
        raise ValueError("external proposals have no anchors")
    numbers = proposal_numbers(anchors)
    best = best_before_nms(anchors, BOXES)
    before, after = Proposals(anchors.boxes[best], anchors.objectness[best]), part.proposals[:BOXES]
    caption = f"All {numbers.anchors:,} anchors are moved by their deltas. Here are the best {len(best)} boxes."
    for group in range(1, GROUPS + 1):
        shown = before[: -(-len(best) * group // GROUPS)]
        yield stage.frame(_with_boxes(stage, shown), caption, 800 if group == GROUPS else 200)
    limit = part.network.inference_filter.nms_iou
    text = f"NMS removes boxes whose IoU with a better one exceeds {limit:g}: the best {len(after.scores)} of "
    yield stage.frame(_with_boxes(stage, after), f"{text}{numbers.kept} proposals.", 1200)


def _detecting(stage: _Stage) -> Iterator[FilmFrame]:
    """The reported detections of the part appear, best first."""
    recording, part = stage.recording, stage.fates.part
    found = part.detections.above(recording.conf).to("cpu")
    boxes, labels = part.in_image(found.boxes), found.labels.tolist()
    colours, names = [colour_of(label) for label in labels], letterings(recording.classes)
    scores = [f"{score:.2f}" for score in found.scores.tolist()]
    caption = (
        "The second stage classifies each proposal and moves it once more: "
        f"{count_of(len(labels), 'detection')} of a score of at least {recording.conf:g}."
    )
    for group in range(1, GROUPS + 1) if labels else [GROUPS]:
        count = -(-len(labels) * group // GROUPS)
        view = stage.plain.copy()
        draw_boxes(view, boxes[:count], colours[:count])
        draw_tags(view, boxes[:count], [names[label] for label in labels[:count]], colours[:count], scores[:count])
        yield stage.frame(view, caption, 2200 if group == GROUPS else 200)


def _with_boxes(stage: _Stage, boxes: Proposals) -> View:
    """Boxes on the faded image in the colours of their objectness."""
    view = stage.faded.copy()
    colours = [colour_at(score) for score in boxes.scores.tolist()]
    draw_boxes(view, stage.fates.part.in_image(boxes.boxes), colours, 2)
    return view


def _reveal(stage: _Stage, view: View, heated: View, level: LevelNumbers, visited: tuple[int, int, int]) -> None:
    """Show the objectness of the rows above ``visited[0]``, and of those to ``visited[1]`` up to a column."""
    above, row, column = visited
    whole, part = float(level.columns), stage.fates.part
    areas = [(0.0, 0.0, whole, float(above)), (0.0, float(above), column + 1.0, row + 1.0)]
    boxes = part.in_image(torch.tensor(areas) * torch.tensor(_cell(stage, level)))
    for frame in view.frames(boxes):
        box = (0, max(frame.top, 0), min(frame.right, view.picture.width), min(frame.bottom, view.picture.height))
        if box[2] > box[0] and box[3] > box[1]:
            view.picture.paste(heated.picture.crop(box), box[:2])


def _cell(stage: _Stage, level: LevelNumbers) -> list[float]:
    """The width and height of a feature in pixels of the padded part, twice: the unit of boxes in features."""
    height, width = stage.fates.part.images.pixels.shape[-2:]
    across, down = width / level.columns, height / level.rows
    return [across, down, across, down]
