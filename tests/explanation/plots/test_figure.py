from __future__ import annotations

import pytest
from PIL import Image

from drawn_pictures import first_panel, pixels_of
from faster_rcnn.explanation.plots.figure import (
    GAP,
    LETTERS,
    LINE,
    WIDTH,
    Key,
    Panel,
    cell_height,
    cell_width,
    figure,
    joined,
    lettering,
    stacked,
    wrapped,
)
from faster_rcnn.reporting.drawing.fonts import Lettering

RED = (255, 0, 0)


def plain(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), RED)


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_columns_and_the_gaps_around_them_fill_the_width(columns: int) -> None:
    assert WIDTH - columns <= columns * cell_width(columns) + (columns + 1) * GAP <= WIDTH
    assert cell_height(columns) <= cell_height(1) <= WIDTH


def test_a_figure_is_as_high_as_its_content() -> None:
    one = figure([Panel(plain(400, 100), "title")])
    assert one.size == (WIDTH, GAP + LINE + 100 + GAP)
    # Three panels in two columns are two rows, each as high as its highest picture.
    two = figure([Panel(plain(40, 100)), Panel(plain(40, 120)), Panel(plain(40, 10))], 2)
    assert two.height == GAP + (120 + GAP) + (10 + GAP)
    # A key and a note of one line each, and a margin below them.
    noted = figure([Panel(plain(40, 100))], keys=[Key("a", RED)], notes=["short"])
    assert noted.height == GAP + (100 + GAP) + LINE + LINE + GAP


def test_panels_stand_under_their_titles_in_their_columns() -> None:
    sheet = figure([Panel(plain(200, 50), "first"), Panel(plain(100, 30), "second")], 2)
    assert pixels_of(first_panel(sheet, (200, 50)), RED) == 200 * 50
    left = 2 * GAP + cell_width(2)
    assert pixels_of(sheet, RED, (left, GAP + LINE, left + 100, GAP + LINE + 30)) == 100 * 30
    assert pixels_of(sheet, RED) == 200 * 50 + 100 * 30


def test_keys_that_do_not_fit_begin_a_new_line() -> None:
    key = Key("a text of some length beside its colour", RED, "fill")
    one, three = (figure([Panel(plain(10, 10))], keys=[key] * count).height for count in (1, 3))
    assert three == one + LINE


def test_every_style_of_key_has_its_colour() -> None:
    for style in ("line", "dashed", "dot", "fill"):
        sheet = figure([Panel(Image.new("RGB", (10, 10)))], keys=[Key("", RED, style)])
        assert pixels_of(sheet, RED) > 10, style


def test_long_texts_are_broken_at_spaces_and_long_words_are_shortened() -> None:
    lines = wrapped("some words that do not fit into a line of so few pixels", 200)
    assert " ".join(line.text for line in lines) == "some words that do not fit into a line of so few pixels"
    assert len(lines) > 1
    assert all(line.width(LETTERS) <= 200 for line in lines)
    [word] = wrapped("w" * 100, 200)
    assert "…" in word.text
    assert word.width(LETTERS) <= 200


def test_texts_keep_the_fonts_of_their_letters() -> None:
    name = Lettering("ж", ("cyrillic.ttf",))
    whole = joined("1: ", name)
    assert whole == Lettering("1: ж", (None, None, None, "cyrillic.ttf"))
    assert lettering(whole) is whole


def test_figures_one_above_the_other() -> None:
    both = stacked(plain(WIDTH, 10), Image.new("RGB", (WIDTH, 20), (0, 0, 255)))
    assert both.size == (WIDTH, 30)
    assert pixels_of(both, RED, (0, 0, WIDTH, 10)) == WIDTH * 10
    assert pixels_of(both, (0, 0, 255)) == WIDTH * 20
