"""How far the border reaches into the first stage: shift an image by whole cells, and compare the RPN's outputs.

A detector in inference mode computes its outputs (logits and deltas) for two views of one picture, the second moved
right and down by the coarsest stride. Where the views overlap, the outputs should be the same, moved by whole cells.
Zero padding of the convolutions breaks this near the border: this measures how far in, for each preset and level.

Weights are random, and no batch norm is left as it starts: gains and shifts are drawn at random, because a new ResNet
starts with gains of 0, which would switch every 3x3 convolution of its blocks off; statistics are those of the picture.
Everything is on the network's own pixels, after resizing, in float32.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.ops.misc import SqueezeExcitation

from faster_rcnn.backbone.norm import norms
from faster_rcnn.building import build_model
from faster_rcnn.model import FasterRCNN
from faster_rcnn.settings.presets import preset
from faster_rcnn.weights.resolve import resolve_model

NAMES = ("small", "base", "base-v2", "mobile", "paper", "c4")
"""``mobile-320`` is the network of ``mobile`` at another size of image."""
PADDINGS = ("zeros", "reflect", "replicate", "circular")
THRESHOLDS = (1e-5, 1e-3, 1e-2, 1e-1)
INTERIOR = 8
"""Cells of the coarsest level that no border reaches, along each side: the views are as large as this needs."""
LENGTH = 2048
"""Pixels of the strip on which the reach is found: more than twice the longest one."""
SIDE_WITHOUT_INTERIOR = 1024
"""Pixels of a view where every cell depends on the border."""


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """What a shift changes on one level of the features. Differences are shares of the outputs' own spread.

    A difference is the root of the mean square over outputs (and cells, where there are several), divided by the
    outputs' standard deviation over the positions that no border reaches.
    """

    stride: int
    reach: tuple[int, int] | None
    """Cells that what lies beyond the left and beyond the right border can change at all; ``None``: every cell."""
    found: tuple[int, ...]
    """Cells from a border up to the last row or column whose difference is above each of ``THRESHOLDS``."""
    edge: float
    """Difference of the outermost rows and columns."""
    inside: float
    """Difference beyond the reach; of the middle half of the map where there is no beyond."""
    equal: bool
    """Whether every output beyond the reach is the same to the last bit."""
    cells: Tensor
    """Differences (rows, columns) of all cells in both views."""


def first_stage(name: str, *, padding: str = "zeros", squeeze: bool = True, seed: int = 0) -> FasterRCNN:
    """Body, neck and RPN of a preset with random weights, in the mode of inference.

    ``padding`` is that of the pyramid and the RPN's head; the body's own stays. Without ``squeeze``, the blocks that
    weigh channels by their mean over the whole map (MobileNetV3) do not.
    """
    config = preset(name)
    changes: dict[str, dict[str, Any]] = {
        "detector": {"kind": "rpn"},
    }
    sections = {section: getattr(config, section).model_copy(update=change) for section, change in changes.items()}
    torch.manual_seed(seed)
    model = build_model(config.model_copy(update=sections), num_classes=1)
    for norm in norms(model):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.1)
    _pad(model, padding)
    if not squeeze:
        _without_squeeze(model)
    return model.eval()


def _pad(model: FasterRCNN, padding: str) -> None:
    """Let the 3x3 convolutions of the pyramid and of the RPN's head pad with other values than zeros.

    A detector pads with zeros; other paddings are only measured.
    """
    parts = [model.rpn.head, *([] if model.backbone.pyramid is None else [model.backbone.pyramid.output])]
    for layer in (layer for part in parts for layer in part.modules()):
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            layer.padding_mode = padding  # type: ignore[assignment]  # torch's types lag


def _without_squeeze(module: nn.Module) -> None:
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, SqueezeExcitation):
                setattr(parent, name, nn.Identity())


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """(1, 3, height, width): noise of all scales, each as strong as the others, like photographs; spread 1."""
    random = torch.Generator().manual_seed(seed)
    pixels = torch.zeros(1, 3, height, width)
    for octave in range(int(math.log2(min(height, width)))):
        noise = torch.randn(1, 3, max(1, height >> octave), max(1, width >> octave), generator=random)
        pixels += interpolate(noise, size=(height, width), mode="bilinear", align_corners=False)
    return (pixels - pixels.mean()) / pixels.std()


@torch.no_grad()
def fit_norms(model: FasterRCNN, pixels: Tensor) -> None:
    """Give every batch norm the statistics of its input for a picture."""
    for norm in norms(model):
        norm.momentum = 1.0
        norm.train()
    outputs_of(model, pixels)
    model.eval()


@torch.no_grad()
def outputs_of(model: FasterRCNN, pixels: Tensor) -> list[Tensor]:
    """Logits and deltas of all anchors of a cell as (outputs, rows, columns), for each level with anchors."""
    features = model.backbone(pixels)
    without = features[: model.rpn.anchors.skipped]
    maps = []
    for feature in features[len(without) :]:
        output = model.rpn([*without, feature])
        rows = torch.cat((output.logits, output.deltas), dim=2)  # (1, rows * columns * shapes, outputs)
        maps.append(rows.reshape(*feature.shape[-2:], -1).permute(2, 0, 1))
    return maps


def strides_of(model: FasterRCNN) -> tuple[int, ...]:
    """Strides of the levels with anchors, finest first."""
    anchors = model.rpn.anchors
    return tuple(anchors.strides[anchors.skipped :])


def reach_of(model: FasterRCNN, length: int, height: int = 64) -> list[tuple[int, int] | None]:
    """Cells of each level that what is beyond the left and the right border can change; ``None`` for all of them.

    NaN spreads through every layer to all that depends on it, so an image of which one half is NaN shows how far the
    outputs of its other half depend on that one. Padding takes the place of what is beyond the border, and reaches
    equally far.
    """
    middle = length // 2
    sides = []
    for left in (True, False):
        pixels = torch.zeros(1, 3, height, length)
        pixels[..., :middle] = math.nan if left else 0
        pixels[..., middle:] = 0 if left else math.nan
        sides.append([each.isnan().any(dim=0).any(dim=0) for each in outputs_of(model, pixels)])
    reaches: list[tuple[int, int] | None] = []
    for stride, after, before in zip(strides_of(model), *sides, strict=True):
        cells = middle // stride
        # Counted without a gap: circular padding carries the half over to the far end as well.
        reached = int(after[cells:].int().cumprod(0).sum()), int(before[:cells].flip(0).int().cumprod(0).sum())
        reaches.append(None if max(reached) == cells else reached)
    return reaches


def side_for(model: FasterRCNN, reaches: Sequence[tuple[int, int] | None]) -> int:
    """Pixels of a view whose coarsest level has ``INTERIOR`` cells, after the shift, that no border reaches."""
    strides = strides_of(model)
    widest = max(sum(reach) * stride for reach, stride in zip(reaches, strides, strict=True) if reach)
    coarsest = max(strides)
    return (-(-widest // coarsest) + INTERIOR + 1) * coarsest


def measure(
    model: FasterRCNN, reaches: Sequence[tuple[int, int] | None], size: tuple[int, int], shift: tuple[int, int]
) -> list[Level]:
    """Compare two views of ``size`` (height, width), the second moved down and right by ``shift`` pixels.

    Levels are left out of whose cells the shift is no multiple. Along an axis without a shift both views have the same
    borders, so that a strip of few rows will do.
    """
    (height, width), (down, right) = size, shift
    whole = picture(height + down, width + right)
    first, second = outputs_of(model, whole[..., :height, :width]), outputs_of(model, whole[..., down:, right:])
    levels = []
    for stride, reach, one, other in zip(strides_of(model), reaches, first, second, strict=True):
        if down % stride or right % stride:
            continue
        rows, columns = other.shape[1] - down // stride, other.shape[2] - right // stride
        moved = (down > 0, right > 0)
        levels.append(_compare(stride, reach, one[:, -rows:, -columns:], other[:, :rows, :columns], moved))
    return levels


def _compare(stride: int, reach: tuple[int, int] | None, one: Tensor, other: Tensor, moved: tuple[bool, bool]) -> Level:
    """The same cells in both views: the second one's border is left and above, the first one's right and below."""
    rows, columns = (_inside(one.shape[axis + 1], reach) if moved[axis] else slice(None) for axis in (0, 1))
    spread = one[:, rows, columns].flatten(1).std(dim=1)[:, None, None]
    squares = ((one - other) / spread).square().mean(dim=0)
    # From border to border: down the columns that neither of the other borders reaches, and along such rows.
    profiles = [
        profile.sqrt()
        for profile, has_moved in zip((squares[:, columns].mean(dim=1), squares[rows].mean(dim=0)), moved, strict=True)
        if has_moved
    ]
    return Level(
        stride=stride,
        reach=reach,
        found=tuple(max(_depth(profile, threshold) for profile in profiles) for threshold in THRESHOLDS),
        edge=float(torch.stack([profile[end] for profile in profiles for end in (0, -1)]).mean()),
        inside=float(squares[rows, columns].mean().sqrt()),
        equal=torch.equal(one[:, rows, columns], other[:, rows, columns]),
        cells=squares.sqrt(),
    )


def _inside(length: int, reach: tuple[int, int] | None) -> slice:
    before, after = reach or (length // 4, length // 4)
    return slice(before, length - after)


def _depth(profile: Tensor, threshold: float) -> int:
    """Cells from the nearer end up to the innermost value above a threshold."""
    places = (profile > threshold).nonzero()[:, 0]
    return int(torch.minimum(places + 1, len(profile) - places).max()) if len(places) else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="+", default=NAMES, choices=NAMES)
    parser.add_argument("--padding", choices=PADDINGS, default="zeros", help="of the pyramid and the RPN's head")
    parser.add_argument("--shift", type=int, help="pixels; by default the coarsest stride")
    parser.add_argument("--model", help="a run folder or model file to measure instead of presets")
    parser.add_argument("--picture", type=Path, help="draw the differences on one level; needs matplotlib")
    given = parser.parse_args()
    models: dict[str, FasterRCNN] = {}
    if given.model is not None:
        models[given.model] = resolve_model(given.model).model.eval()
    for name in () if given.model is not None else given.presets:
        models[name] = first_stage(name, padding=given.padding)
        if name == "mobile":
            models["mobile without squeeze-excitation"] = first_stage(name, padding=given.padding, squeeze=False)
    print(f"{'stride':>12}{'reach':>10}" + "".join(f"{f'> {each:g}':>9}" for each in THRESHOLDS), end="")
    print(f"{'edge':>9}{'inside':>10}  (cells from the border; shares of the spread)")
    drawn = {}
    for label, model in models.items():
        drawn[label] = report(label, model, given.shift, fitted=given.model is None)
    if given.picture is not None:
        draw(drawn, given.picture)


def report(label: str, model: FasterRCNN, shift: int | None, fitted: bool) -> list[Level]:
    """Measure one detector, print a line for each level, and return them."""
    reaches = reach_of(model, LENGTH)
    side = side_for(model, reaches) if any(reaches) else SIDE_WITHOUT_INTERIOR
    step = shift or max(model.backbone.strides)
    if fitted:
        fit_norms(model, picture(side, side))
    levels = measure(model, reaches, (side, side), (step, step))
    print(f"{label}: two views of {side} x {side} pixels, {step} apart")
    for level in levels:
        reach = "all" if level.reach is None else f"{level.reach[0]}, {level.reach[1]}"
        inside = "equal" if level.equal else f"{level.inside:.2g}"
        found = "".join(f"{each:>9}" for each in level.found)
        print(f"{level.stride:>12}{reach:>10}{found}{level.edge:>9.2f}{inside:>10}", flush=True)
    return levels


def draw(drawn: dict[str, list[Level]], path: Path) -> None:
    """Maps of the differences: for each detector its level of stride 16, or the finest one."""
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import MaxNLocator

    columns = min(3, len(drawn))
    rows = -(-len(drawn) // columns)
    figure = Figure(figsize=(2.6 * columns + 1.2, 2.9 * rows), layout=ConstrainedLayoutEngine(h_pad=0.12))
    panels = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for panel in panels[len(drawn) :]:
        panel.remove()
    for panel, (label, levels) in zip(panels, drawn.items(), strict=False):
        level = next((each for each in levels if each.stride == 16), levels[0])
        image = panel.imshow(level.cells.where(level.cells > 0, math.nan), norm=LogNorm(1e-6, 1))
        if level.reach is not None:
            corner, side = level.reach[0] - 0.5, len(level.cells) - sum(level.reach)
            panel.add_patch(Rectangle((corner, corner), side, side, fill=False, linewidth=0.8, linestyle="--"))
        panel.set_title(label.replace(" without", "\nwithout"), fontsize=10)
        panel.set_xlabel(f"cells of {level.stride} pixels", fontsize=9)
        panel.tick_params(labelsize=8)
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        panel.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    bar = figure.colorbar(image, ax=panels[: len(drawn)], shrink=0.7, extend="both")
    bar.set_label("difference, in shares of the spread\n(white: equal to the last bit)", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
