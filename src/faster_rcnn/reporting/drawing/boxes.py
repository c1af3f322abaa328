"""Drawing of boxes and tags on pictures, from thumbnails to photographs of 20 megapixels.

Lines and letters grow with the image. Each class keeps its colour in every picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from faster_rcnn.reporting.drawing.colours import Colour, colour_of, is_light
from faster_rcnn.reporting.drawing.fonts import letterings
from faster_rcnn.reporting.drawing.tags import Frame, placed_tags, write_tag
from faster_rcnn.structures import ClassMap, Detections, GroundTruth

THINNEST = 2
"""The least width of a line in pixels."""

EDGES = {True: (0, 0, 0, 110), False: (255, 255, 255, 150)}
"""Half-transparent colours along both sides of a line: dark where the line is light (True), and light where it is dark.

They keep the line visible on any background.
"""


def draw_detections(
    pixels: UInt8[Tensor, "3 height width"],
    detections: Detections,
    classes: ClassMap,
    truth: GroundTruth | None = None,
    scale: float = 1.0,
) -> Image.Image:
    """Draw detections; ground truth, where given, is dashed in black and white under them.

    Args:
        pixels: image in RGB.
        detections: best first, in these pixels; all of them are drawn, the best on top.
        classes: names of the labels.
        truth: ground truth in these pixels.
        scale: how many times larger than ``pixels`` the picture is, so that tags on small images can be read.
    """
    dashed = None if truth is None else truth.boxes
    labels, scores = detections.labels.tolist(), detections.scores.tolist()
    return draw_boxes(pixels, detections.boxes, labels, classes, scores, dashed, scale)


def draw_boxes(
    pixels: UInt8[Tensor, "3 height width"],
    boxes: Float[Tensor, "boxes 4"],
    labels: Sequence[int],
    classes: ClassMap,
    scores: Sequence[float] | None = None,
    dashed: Float[Tensor, "dashed 4"] | None = None,
    scale: float = 1.0,
) -> Image.Image:
    """Draw boxes and their tags, the first boxes on top.

    Args:
        pixels: image in RGB.
        boxes: in these pixels; parts outside the image are cut off.
        labels: the class of each box, which chooses its colour.
        classes: names of the labels.
        scores: 0..1, written beside the names.
        dashed: boxes without a tag, under the others.
        scale: how many times larger than ``pixels`` the picture is.
    """
    picture = _picture(pixels, scale)
    canvas = ImageDraw.Draw(picture, "RGBA")
    thick = max(THINNEST, round(0.0036 * math.sqrt(picture.width * picture.height)))
    for frame in _frames(dashed, scale, picture) if dashed is not None else []:
        dashed_outline(canvas, frame, max(1, round(0.6 * thick)), 4 * thick)
    lines = [_line_of(frame, thick, picture) for frame in _frames(boxes, scale, picture)]
    colours = [colour_of(label) for label in labels]
    for (frame, thin), colour in reversed(list(zip(lines, colours, strict=True))):
        outline(canvas, frame, colour, thin)
    written = letterings(classes)
    names = [written[label] for label in labels]
    texts = None if scores is None else [f"{score:.2f}" for score in scores]
    for tag in reversed(placed_tags([frame for frame, _ in lines], names, texts, colours, picture.size)):
        write_tag(canvas, tag)
    return picture


def _picture(pixels: UInt8[Tensor, "3 height width"], scale: float) -> Image.Image:
    """Convert the pixels to a picture, ``scale`` times larger."""
    picture = Image.fromarray(pixels.permute(1, 2, 0).contiguous().cpu().numpy())
    if scale == 1.0:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _frames(boxes: Float[Tensor, "boxes 4"], scale: float, picture: Image.Image) -> list[Frame]:
    """Round boxes to pixels of the picture and clip them to it; each keeps at least one pixel."""
    frames = []
    for x1, y1, x2, y2 in (boxes.detach().double().cpu() * scale).tolist():
        left = min(max(round(x1), 0), picture.width - 1)
        top = min(max(round(y1), 0), picture.height - 1)
        right = max(min(round(x2), picture.width), left + 1)
        frames.append(Frame(left, top, right, max(min(round(y2), picture.height), top + 1)))
    return frames


def _line_of(frame: Frame, thick: int, picture: Image.Image) -> tuple[Frame, int]:
    """The outer border and the width of a box's line.

    The line lies inside the box, or around a box that is so small that the line would hide its content.
    """
    thin = min(thick, max(THINNEST, frame.short_side // 14))
    if frame.short_side >= 6 * thin:
        return frame, thin
    right, bottom = min(frame.right + thin, picture.width), min(frame.bottom + thin, picture.height)
    return Frame(max(frame.left - thin, 0), max(frame.top - thin, 0), right, bottom), thin


def outline(canvas: ImageDraw.ImageDraw, frame: Frame, colour: Colour, thin: int) -> None:
    """Draw a line of ``thin`` pixels inside a frame, with a half-transparent edge along both sides."""
    left, top, right, bottom = frame.left, frame.top, frame.right - 1, frame.bottom - 1
    edge, rim = EDGES[is_light(colour)], max(1, thin // 4)
    canvas.rectangle((left - rim, top - rim, right + rim, bottom + rim), outline=edge, width=rim)
    if frame.short_side > 2 * (thin + rim):
        canvas.rectangle((left + thin, top + thin, right - thin, bottom - thin), outline=edge, width=rim)
    canvas.rectangle((left, top, right, bottom), outline=colour, width=thin)


def dashed_outline(
    canvas: ImageDraw.ImageDraw, frame: Frame, thick: int, dash: int, colour: Colour = (255, 255, 255)
) -> None:
    """Draw a black line with dashes of a colour, white by default, inside a frame."""
    left, top, right, bottom = frame.left, frame.top, frame.right - 1, frame.bottom - 1
    canvas.rectangle((left, top, right, bottom), outline="black", width=thick)
    for start in range(left, right, 2 * dash):
        end = min(start + dash, right)
        canvas.rectangle((start, top, end, top + thick - 1), fill=colour)
        canvas.rectangle((start, bottom - thick + 1, end, bottom), fill=colour)
    for start in range(top, bottom, 2 * dash):
        end = min(start + dash, bottom)
        canvas.rectangle((left, start, left + thick - 1, end), fill=colour)
        canvas.rectangle((right - thick + 1, start, right, end), fill=colour)
