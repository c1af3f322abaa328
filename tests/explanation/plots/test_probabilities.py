from __future__ import annotations

import pytest

from drawn_pictures import differ, pixels_of
from explained_images import tiny_explained
from faster_rcnn.errors import OptionError
from faster_rcnn.explanation.plots.figure import WIDTH, lettering
from faster_rcnn.explanation.plots.probabilities import MAX_BARS, plot_probabilities, probability_rows
from faster_rcnn.reporting.drawing.colours import colour_of


def test_probabilities_are_those_of_the_softmax_best_first() -> None:
    explained = tiny_explained()
    second = explained.recording.whole.second
    assert second is not None
    rows = probability_rows(explained.recording, explained.fates[0], 4)
    assert sorted(lettering(name).text for name, _, _ in rows) == ["background", "cat", "dog", "hen"]
    expected = second.output.logits[4].softmax(dim=0).tolist()
    values = {lettering(name).text: value for name, value, _ in rows}
    assert [values[name] for name in ("cat", "dog", "hen", "background")] == pytest.approx(expected)
    assert [value for _, value, _ in rows[:-1]] == sorted((value for _, value, _ in rows[:-1]), reverse=True)


def test_of_many_classes_the_rest_is_one_bar() -> None:
    explained = tiny_explained(names=tuple(f"class {number}" for number in range(20)))
    rows = probability_rows(explained.recording, explained.fates[0], 0)
    assert len(rows) == MAX_BARS + 2
    assert rows[-2][0] == "12 others"
    assert sum(value for _, value, _ in rows) == pytest.approx(1)


def test_bars_have_the_colours_of_the_classes() -> None:
    explained = tiny_explained()
    picture = plot_probabilities(explained.recording, explained.fates[0])
    assert picture.width == WIDTH
    rows = probability_rows(explained.recording, explained.fates[0], explained.life(0).proposal or 0)
    widths = {colour: pixels_of(picture, colour, (508, 43, 984, 200)) for _, _, colour in rows[:-1]}
    values = {colour: value for _, value, colour in rows[:-1]}
    # Bars of equal height: their areas are as their probabilities.
    for label in range(3):
        share = widths[colour_of(label)] / sum(widths.values())
        assert share == pytest.approx(values[colour_of(label)] / sum(values.values()), abs=0.03)


def test_another_region_is_another_picture() -> None:
    explained = tiny_explained()
    draw = plot_probabilities
    assert differ(draw(explained.recording, explained.fates[0], 1), draw(explained.recording, explained.fates[0], 2))


def test_long_and_foreign_names_fit() -> None:
    names = ("a very long name that nobody would choose for a class of objects", "красная клетка", "<script>")
    explained = tiny_explained(names=names)
    assert plot_probabilities(explained.recording, explained.fates[0]).width == WIDTH


def test_a_first_stage_alone_has_no_classes() -> None:
    alone = tiny_explained(kind="rpn")
    with pytest.raises(OptionError, match="E125"):
        plot_probabilities(alone.recording, alone.fates[0])
