"""The feature maps that both stages read, over the image (section 3: "conv layers", shared by RPN and Fast R-CNN)."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from faster_rcnn.errors import OptionError
from faster_rcnn.explanation.plots.choice import best_proposals
from faster_rcnn.explanation.plots.figure import Panel, figure, stacked
from faster_rcnn.explanation.plots.heat import draw_heat, stretched
from faster_rcnn.explanation.plots.view import view_of
from faster_rcnn.explanation.record.lives import PartFates
from faster_rcnn.explanation.record.numbers import LevelNumbers, level_numbers, region_numbers
from faster_rcnn.explanation.record.recording import Recording

COLUMNS = 3
CHANNELS = 3
"""The number of single channels that are drawn."""


def plot_features(recording: Recording, fates: PartFates, level: int | None = None) -> Image.Image:
    """Draw the mean activation of each level over the image, and the most active channels of one level.

    Args:
        recording: a recorded image.
        fates: of the part that is drawn.
        level: whose channels are drawn, 0 for the finest; by default the one that the best detection's region is
            pooled from.

    Raises ``OptionError`` (E125) where there is no such level.
    """
    part, levels = fates.part, level_numbers(fates.part)
    chosen = chosen_level(levels, _followed_level(recording, fates) if level is None else level)
    plain = view_of(recording, part, COLUMNS, faded=0.2)
    panels = []
    for numbers, feature in zip(levels, part.features, strict=True):
        view = plain.copy()
        draw_heat(view, part, stretched(feature[0].float().abs().mean(dim=0)))
        size = f"{numbers.channels} x {numbers.rows} x {numbers.columns}"
        panels.append(Panel(view.picture, f"{numbers.name}: {size}"))
    features = part.features[chosen][0].float()  # (C, H, W)
    single = []
    for channel in most_active(features):
        view = plain.copy()
        draw_heat(view, part, stretched(features[channel].abs()))
        single.append(Panel(view.picture, f"{levels[chosen].name}, channel {channel} alone"))
    strides = ", ".join(f"{each.stride} ({each.name})" for each in levels)
    notes = [
        "Sizes are channels x rows x columns. Colours: mean absolute activation, from the lowest (violet) to the "
        "highest (yellow) of each map; each square is one feature.",
        f"Features lie this many pixels of the resized image apart: {strides}.",
    ]
    return stacked(figure(panels, COLUMNS), figure(single, COLUMNS, notes=notes))


def most_active(features: Float[Tensor, "channels rows columns"], count: int = CHANNELS) -> list[int]:
    """The channels of the highest mean absolute activation, the most active first."""
    activity = features.abs().mean(dim=(1, 2))
    top: list[int] = activity.topk(min(count, len(activity))).indices.tolist()
    return top


def chosen_level(levels: tuple[LevelNumbers, ...], level: int) -> int:
    """A level, by its index; raises ``OptionError`` (E125) where there is no such level."""
    if not 0 <= level < len(levels):
        names = listed(dict(enumerate(levels)))
        raise OptionError(f"level {level}: this detector has the levels {names}", code="E125")
    return level


def listed(levels: Mapping[int, LevelNumbers]) -> str:
    """The indices and names of some levels, for a message."""
    return ", ".join(f"{index} ({each.name})" for index, each in levels.items())


def _followed_level(recording: Recording, fates: PartFates) -> int:
    if fates.part.second is None or not len(fates.part.proposals.scores):
        return 0
    return region_numbers(fates.part, best_proposals(recording, fates, 1)[0]).level
