"""A view: a part of the image as a picture at some scale, with everything that its boxes need around it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from faster_rcnn.explanation.plots.figure import cell_height, cell_width
from faster_rcnn.explanation.record.lives import Corners
from faster_rcnn.explanation.record.recording import PartRecording, Recording
from faster_rcnn.reporting.drawing.colours import Colour
from faster_rcnn.reporting.drawing.tags import Frame

OUTSIDE: Colour = (226, 228, 231)
"""The colour of what lies outside the image."""
HATCH: Colour = (208, 211, 215)
"""The colour of the lines on it."""
MAX_MARGIN = 0.35
"""The largest margin around the image, as a share of its longer side."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A picture of a rectangle of the image; drawing changes the picture, and nothing else."""

    picture: Image.Image
    left: float
    """The image's x coordinate at the picture's left border."""
    top: float
    scale: float
    """Picture pixels per image pixel."""

    @property
    def canvas(self) -> ImageDraw.ImageDraw:
        """Draws on the picture, half-transparent colours included."""
        return ImageDraw.Draw(self.picture, "RGBA")

    def point(self, x: float, y: float) -> tuple[float, float]:
        """The picture's point at a point of the image."""
        return (x - self.left) * self.scale, (y - self.top) * self.scale

    def frames(self, boxes: Float[Tensor, "boxes 4"]) -> list[Frame]:
        """Boxes in pixels of the image as rectangles of the picture, which may cross its border."""
        shift = boxes.new_tensor([self.left, self.top, self.left, self.top]).double().cpu()
        rows = ((boxes.detach().double().cpu() - shift) * self.scale).round().long().tolist()
        return [Frame(x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)) for x1, y1, x2, y2 in rows]

    def copy(self) -> View:
        """A view of its own picture."""
        return replace(self, picture=self.picture.copy())


def view_of(
    recording: Recording,
    part: PartRecording,
    columns: int = 1,
    around: Float[Tensor, "boxes 4"] | None = None,
    faded: float = 0.0,
    room: tuple[int, int] | None = None,
) -> View:
    """A view of a part of the image that fits into a row of ``columns`` panels, or into a room of its own.

    Args:
        recording: has the pixels.
        part: the part of the image.
        columns: number of panels in a row.
        around: boxes in pixels of the image that should lie inside the view, within ``MAX_MARGIN`` around the part.
        faded: 0 for the colours of the image, up to 1 for white; drawings stand out on faded images.
        room: the largest width and height in pixels, in the place of those of a panel.
    """
    place = part.place
    shown = _shown(place, around)
    width, height = shown[2] - shown[0], shown[3] - shown[1]
    across, down = room or (cell_width(columns), cell_height(columns))
    scale = min(across / width, down / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = Image.new("RGB", size, OUTSIDE)
    hatch(picture, HATCH)
    view = View(picture, shown[0], shown[1], scale)
    inner = (max(1, round((place.x2 - place.x1) * scale)), max(1, round((place.y2 - place.y1) * scale)))
    left, top = view.point(place.x1, place.y1)
    picture.paste(_photo(recording, part, inner, faded), (round(left), round(top)))
    return view


def crop_of(recording: Recording, box: Corners, size: tuple[int, int]) -> Image.Image:
    """A rectangle of the image, cut at the image's border, as large as fits into a width and a height in pixels."""
    height, width = recording.size
    x1, y1 = min(max(0, math.floor(box[0])), width - 1), min(max(0, math.floor(box[1])), height - 1)
    x2, y2 = max(min(width, math.ceil(box[2])), x1 + 1), max(min(height, math.ceil(box[3])), y1 + 1)
    pixels = recording.pixels[:, y1:y2, x1:x2]
    scale = min(size[0] / (x2 - x1), size[1] / (y2 - y1))
    return _resized(pixels, (max(1, round((x2 - x1) * scale)), max(1, round((y2 - y1) * scale))))


def picture_of(pixels: UInt8[Tensor, "3 height width"]) -> Image.Image:
    """Pixels in RGB as a picture of the same size."""
    return Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy()))


def hatch(picture: Image.Image, colour: Colour) -> None:
    """Draw slanted lines over a whole picture."""
    canvas = ImageDraw.Draw(picture)
    for start in range(-picture.height, picture.width, 14):
        canvas.line((start, picture.height, start + picture.height, 0), fill=colour, width=2)


def _shown(place: Corners, around: Float[Tensor, "boxes 4"] | None) -> Corners:
    x1, y1, x2, y2 = (float(side) for side in place)
    if around is None or not len(around):
        return x1, y1, x2, y2
    margin = MAX_MARGIN * max(x2 - x1, y2 - y1)
    low, high = around.amin(dim=0).tolist(), around.amax(dim=0).tolist()
    # Room for the width of a line and for a tag.
    room = 0.02 * max(x2 - x1, y2 - y1)
    left, top = (min(first, max(value - room, first - margin)) for first, value in ((x1, low[0]), (y1, low[1])))
    right, bottom = (max(last, min(value + room, last + margin)) for last, value in ((x2, high[2]), (y2, high[3])))
    inside = low[0] >= x1 and low[1] >= y1 and high[2] <= x2 and high[3] <= y2
    return (x1, y1, x2, y2) if inside else (left, top, right, bottom)


def _photo(recording: Recording, part: PartRecording, size: tuple[int, int], faded: float) -> Image.Image:
    picture = _resized(part.place.of(recording.pixels), size)
    if not faded:
        return picture
    grey = picture.convert("L").convert("RGB")
    return Image.blend(grey, Image.new("RGB", size, (255, 255, 255)), faded)


def _resized(pixels: Tensor, size: tuple[int, int]) -> Image.Image:
    return picture_of(pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
