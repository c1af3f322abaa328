from __future__ import annotations

from itertools import pairwise

from faster_rcnn.reporting.drawing.colours import colour_of, hex_of, is_light


def test_first_colours_are_fixed_and_all_differ() -> None:
    assert colour_of(0) == (0xE6, 0x9F, 0x00)
    colours = [colour_of(label) for label in range(90)]
    assert len(set(colours)) == 90
    for one, other in pairwise(colours):
        assert sum(abs(a - b) for a, b in zip(one, other, strict=True)) > 60


def test_black_is_read_on_yellow_and_white_on_indigo() -> None:
    assert is_light(colour_of(3))
    assert not is_light(colour_of(13))


def test_pages_write_a_colour_in_six_digits() -> None:
    assert hex_of((0, 10, 255)) == "#000aff"
