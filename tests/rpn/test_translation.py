"""The first stage is the same everywhere but near the border: docs/translation.md, measured on strips of an image."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from translation import Level, first_stage, fit_norms, measure, picture, reach_of, side_for, strides_of

from faster_rcnn.building import build_without_values
from faster_rcnn.model import FasterRCNN
from faster_rcnn.settings.presets import preset

pytestmark = pytest.mark.xdist_group("translation")  # tests share the reaches

PAGE = Path(__file__).parents[2] / "docs" / "translation.md"
ROUNDING = 1e-5
"""Of float32, in shares of an output's spread; on the machine of the page the outputs are equal to the last bit."""
ROWS = 64
LENGTH = 1280
"""Pixels of the strip on which the reach is found: its half is more than the 512 of the longest one."""


@cache
def reaches_of(name: str, *, squeeze: bool = True) -> list[tuple[int, int] | None]:
    return reach_of(first_stage(name, squeeze=squeeze), LENGTH, ROWS)


def shifted(name: str, model: FasterRCNN, shift: int | None = None, *, squeeze: bool = True) -> list[Level]:
    """Two strips of one picture, the second moved to the right by the coarsest stride, or as told."""
    reaches = reaches_of(name, squeeze=squeeze)
    length = side_for(model, reaches) if any(reaches) else 512
    fit_norms(model, picture(ROWS, length))
    return measure(model, reaches, (ROWS, length), (0, shift or max(model.backbone.strides)))


@pytest.mark.parametrize("name", ["small", "base", "base-v2", "c4", "paper"])
def test_the_interior_moves_with_the_image_and_the_border_does_not(name: str) -> None:
    levels = shifted(name, first_stage(name))
    assert len(levels) == {"c4": 1, "paper": 1, "small": 4}.get(name, 5)
    for level in levels:
        assert level.inside < ROUNDING
        assert level.edge > 0.1
        assert level.reach is not None
        assert 1 <= level.found[0] <= max(level.reach)


@pytest.mark.parametrize("name", ["small", "base", "base-v2", "c4", "paper"])
def test_the_page_says_how_far_the_border_reaches(name: str) -> None:
    table = re.findall(rf"^\| `{name}` +\| (\d+) \| (\d+), (\d+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    said = [(int(stride), (int(before), int(after))) for stride, before, after in table]
    assert said == list(zip(strides_of(build_without_values(preset(name), 1)), reaches_of(name), strict=True))


def test_the_reach_of_vgg16_by_hand() -> None:
    # A cell of conv5_3 sees 196 pixels: 5 for conv1, 6 for pool1, and so on; the head's 3x3 adds 2 * 16. These 228 are
    # the cell's own 16 and 106 on either side, so that a cell must begin 106 / 16 = 6.6 cells behind the border.
    assert reaches_of("paper") == [(7, 7)]


def test_squeeze_excitation_reads_the_whole_image() -> None:
    assert reaches_of("mobile") == [None] * 3
    assert all(level.inside > 1e-3 for level in shifted("mobile", first_stage("mobile")))
    without = shifted("mobile", first_stage("mobile", squeeze=False), squeeze=False)
    assert all(level.reach is not None and level.inside < ROUNDING for level in without)


@pytest.mark.parametrize("padding", ["reflect", "replicate", "circular"])
def test_no_padding_makes_up_for_what_is_not_there(padding: str) -> None:
    [level] = shifted("paper", first_stage("paper", padding=padding))
    assert level.inside < ROUNDING
    assert level.edge > 0.1


def test_by_less_than_the_coarsest_cell_nothing_moves_exactly() -> None:
    finest, *others = shifted("base", first_stage("base"), shift=4)
    assert (finest.stride, others) == (4, [])
    assert finest.inside > 0.1
