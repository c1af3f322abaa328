"""RoI pooling and RoIAlign of one region, with the features that each reads (Fast R-CNN, 2.1; Mask R-CNN, 3)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from faster_rcnn.explanation.plots.choice import chosen_proposal, second_of
from faster_rcnn.explanation.plots.figure import Key, Panel, cell_width, figure, stacked
from faster_rcnn.explanation.plots.heat import heat_map, stretched
from faster_rcnn.explanation.plots.marks import BLACK, NEGATIVE, POSITIVE, WHITE
from faster_rcnn.explanation.plots.view import crop_of
from faster_rcnn.explanation.record.lives import PartFates, corners
from faster_rcnn.explanation.record.numbers import RegionNumbers, region_numbers
from faster_rcnn.explanation.record.recording import PartRecording, Recording
from faster_rcnn.ops.roi_align import roi_align, roi_pool
from faster_rcnn.reporting.drawing.colours import Colour
from faster_rcnn.roi.pooling import Pooling

MARGIN = 1.5
"""Features around the region that are drawn, too."""
MAX_SCALE = 60.0
"""The largest side of a feature in pixels."""

Bin = tuple[int, int, int, int]
"""First and last columns and rows of features, (x1, y1, x2, y2); the last are the first outside."""


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """A picture of the features around a region; a feature is a square around its point."""

    picture: Image.Image
    left: float
    top: float
    scale: float

    def point(self, x: float, y: float) -> tuple[float, float]:
        """The picture's point at a place in units of features, where feature (row, column) lies at (column, row)."""
        return (x - self.left) * self.scale, (y - self.top) * self.scale


def plot_pooling(recording: Recording, fates: PartFates, proposal: int | None = None) -> Image.Image:
    """Draw what RoI pooling and RoIAlign read of the features under one region, and what each gives.

    Both are drawn with the numbers of the detector, whichever of them it uses.

    Args:
        recording: a recorded image.
        fates: of the part that is drawn.
        proposal: the region, by the index of its proposal; by default that of the best detection.

    Raises ``OptionError`` (E125) for a first stage alone, without a proposal, or for no such proposal.
    """
    second_of(fates)
    part, rule = fates.part, fates.part.network.roi.pooling
    chosen = chosen_proposal(recording, fates, proposal)
    region = region_numbers(part, chosen)
    feature = part.features[region.level].float()  # (1, C, H, W)
    mean = stretched(feature[0].abs().mean(dim=0))
    pooled, aligned = _grid(mean, region, rule), _grid(mean, region, rule)
    _draw_bins(pooled, pool_bins(region, rule.side, (feature.shape[2], feature.shape[3])), region)
    points = sampling_points(region, rule)
    _draw_samples(aligned, region, rule, points)
    results = both_results(part, chosen, region)
    x1, y1, x2, y2 = region.box
    method = "RoI pooling" if rule.method == "pool" else "RoIAlign"
    per_bin = f"{points.shape[1]} x {points.shape[3]}"
    grids = [
        Panel(pooled.picture, "RoI pooling: bins rounded to whole features"),
        Panel(aligned.picture, f"RoIAlign: exact bins of {per_bin} samples"),
    ]
    crop = crop_of(recording, corners(part.in_image(part.proposals.boxes[chosen])), (cell_width(3), cell_width(3)))
    outputs = [
        Panel(crop, f"The region: proposal {chosen}"),
        Panel(_result(results[0]), "RoI pooling: maximum of a bin"),
        Panel(_result(results[1]), "RoIAlign: mean of the samples"),
    ]
    notes = [
        f"The region is {x2 - x1:.1f} features wide and {y2 - y1:.1f} high on {region.name} (stride {region.stride}), "
        f"and becomes {rule.side} x {rule.side} bins. This detector uses {method}. Colours: mean absolute activation.",
    ]
    keys = [Key("region", WHITE), Key("bins", NEGATIVE), Key("samples, bilinear between features", POSITIVE, "dot")]
    return stacked(figure(grids, 2, keys), figure(outputs, 3, notes=notes))


def pool_bins(region: RegionNumbers, side: int, size: tuple[int, int]) -> list[Bin]:
    """The features of each bin of RoI pooling, row by row, on a map of some rows and columns.

    As ``torchvision.ops.roi_pool``: the region's corners are rounded to features, the last one included; each bin
    reaches from the feature below its beginning to the one above its end.
    """
    x1, y1, x2, y2 = (_rounded(value) for value in region.box)
    wide, high = max(x2 - x1 + 1, 1) / side, max(y2 - y1 + 1, 1) / side
    rows, columns = size
    across = [_span(x1, index, wide, columns) for index in range(side)]
    down = [_span(y1, index, high, rows) for index in range(side)]
    return [(left, top, right, bottom) for top, bottom in down for left, right in across]


def sampling_points(region: RegionNumbers, rule: Pooling) -> Float[Tensor, "side down side across 2"]:
    """The points (x, y) that RoIAlign reads, in units of features, by bin row, sample row, bin column, sample column.

    As ``torchvision.ops.roi_align``: with a sampling ratio of 0, a bin has as many samples along a side as the side is
    features long, rounded up.
    """
    x1, y1, wide, high = aligned_box(region, rule)
    across, down = (rule.sampling_ratio or max(1, math.ceil(length / rule.side)) for length in (wide, high))
    x, y = (
        start + (torch.arange(rule.side * count, dtype=torch.float64) + 0.5) * (length / (rule.side * count))
        for start, length, count in ((x1, wide, across), (y1, high, down))
    )
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)  # (side * down, side * across, 2)
    return grid.reshape(rule.side, down, rule.side, across, 2).float()


def aligned_box(region: RegionNumbers, rule: Pooling) -> tuple[float, float, float, float]:
    """Left, top, width and height of the region as RoIAlign reads it, in units of features."""
    shift = 0.5 if rule.aligned else 0.0
    x1, y1, x2, y2 = region.box
    wide, high = x2 - x1, y2 - y1
    # Without alignment a region is at least one feature long (torchvision).
    return x1 - shift, y1 - shift, wide if rule.aligned else max(wide, 1.0), high if rule.aligned else max(high, 1.0)


def both_results(
    part: PartRecording, proposal: int, region: RegionNumbers
) -> tuple[Float[Tensor, "channels side side"], Float[Tensor, "channels side side"]]:
    """What RoI pooling and RoIAlign give for a proposal, with the numbers of the detector."""
    rule, feature = part.network.roi.pooling, part.features[region.level]
    rois = torch.cat((part.proposals.boxes.new_zeros(1, 1), part.proposals.boxes[proposal][None]), dim=1)  # (1, 5)
    numbers = {"stride": region.stride, "side": rule.side}
    plain = roi_pool(feature, rois, **numbers)
    aligned = roi_align(feature, rois, **numbers, sampling_ratio=rule.sampling_ratio, aligned=rule.aligned)
    return plain[0].float(), aligned[0].float()


def _rounded(value: float) -> int:
    """Round half away from zero, as C's ``round`` does."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def _span(start: int, index: int, length: float, count: int) -> tuple[int, int]:
    """The first feature of a bin, and the first after it, inside the map."""
    low, high = start + math.floor(index * length), start + math.ceil((index + 1) * length)
    return min(max(low, 0), count), min(max(high, 0), count)


def _grid(mean: Float[Tensor, "rows columns"], region: RegionNumbers, rule: Pooling) -> _Grid:
    """The features around a region, as squares of the colour of their mean activation."""
    x1, y1, x2, y2 = region.box
    rows, columns = mean.shape
    left, top = max(-0.5, math.floor(x1 - MARGIN) + 0.5), max(-0.5, math.floor(y1 - MARGIN) + 0.5)
    right, bottom = min(columns - 0.5, math.ceil(x2 + MARGIN) + 0.5), min(rows - 0.5, math.ceil(y2 + MARGIN) + 0.5)
    width = cell_width(2)
    scale = min(width / (right - left), 1.1 * width / (bottom - top), MAX_SCALE)
    size = round((right - left) * scale), round((bottom - top) * scale)
    cells = mean[round(top + 0.5) : round(bottom + 0.5), round(left + 0.5) : round(right + 0.5)]
    picture = heat_map(cells, size)
    canvas = ImageDraw.Draw(picture, "RGBA")
    grid = _Grid(picture, left, top, scale)
    if scale > 8:
        for column in range(cells.shape[1] + 1):
            canvas.line((column * scale, 0, column * scale, size[1]), fill=(255, 255, 255, 60))
        for row in range(cells.shape[0] + 1):
            canvas.line((0, row * scale, size[0], row * scale), fill=(255, 255, 255, 60))
    return grid


def _draw_bins(grid: _Grid, bins: list[Bin], region: RegionNumbers) -> None:
    """Draw the bins of RoI pooling, which may share features, and the region before rounding."""
    canvas = ImageDraw.Draw(grid.picture, "RGBA")
    for left, top, right, bottom in bins:
        if right > left and bottom > top:
            (x1, y1), (x2, y2) = grid.point(left - 0.5, top - 0.5), grid.point(right - 0.5, bottom - 0.5)
            canvas.rectangle((x1 + 1, y1 + 1, x2 - 2, y2 - 2), outline=NEGATIVE, width=2)
    x1, y1, x2, y2 = region.box
    _rectangle(canvas, (*grid.point(x1, y1), *grid.point(x2, y2)), WHITE)


def _draw_samples(
    grid: _Grid, region: RegionNumbers, rule: Pooling, points: Float[Tensor, "side down side across 2"]
) -> None:
    """Draw the bins of RoIAlign and their sampling points, and the region."""
    canvas = ImageDraw.Draw(grid.picture, "RGBA")
    left, top, wide, high = aligned_box(region, rule)
    for index in range(rule.side + 1):
        share = index / rule.side
        x, y = left + wide * share, top + high * share
        canvas.line((*grid.point(x, top), *grid.point(x, top + high)), fill=NEGATIVE, width=2)
        canvas.line((*grid.point(left, y), *grid.point(left + wide, y)), fill=NEGATIVE, width=2)
    _rectangle(canvas, (*grid.point(left, top), *grid.point(left + wide, top + high)), WHITE)
    spacing = grid.scale * min(wide / (rule.side * points.shape[3]), high / (rule.side * points.shape[1]))
    radius = max(1.0, min(4.5, 0.3 * spacing))
    for x, y in points.flatten(0, 3).tolist():
        across, down = grid.point(x, y)
        canvas.ellipse(
            (across - radius, down - radius, across + radius, down + radius),
            fill=POSITIVE,
            outline=BLACK if radius > 2 else None,
        )


def _rectangle(canvas: ImageDraw.ImageDraw, box: tuple[float, float, float, float], colour: Colour) -> None:
    canvas.rectangle(box, outline=BLACK, width=5)
    canvas.rectangle((box[0] + 1, box[1] + 1, box[2] - 1, box[3] - 1), outline=colour, width=3)


def _result(pooled: Float[Tensor, "channels side side"]) -> Image.Image:
    return heat_map(stretched(pooled.abs().mean(dim=0)), (cell_width(3), cell_width(3)))
