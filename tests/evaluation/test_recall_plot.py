"""The figure of recall: its panels, its lines, and names in any letters."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure
from PIL import Image

from faster_rcnn.evaluation import recall_plot
from faster_rcnn.evaluation.recall import COUNTS, CURVE_COUNTS, IOUS, ProposalRecall


def made_up(most: int, height: float | None = 0.8) -> ProposalRecall:
    """Every value the same."""
    return ProposalRecall(
        images=5,
        truths=7,
        max_proposals=most,
        recall={count: (height,) * len(IOUS) for count in CURVE_COUNTS},
        average={count: {"all": height} for count in CURVE_COUNTS},
    )


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf", ".PNG"])
def test_the_same_numbers_give_the_same_picture(suffix: str, tmp_path: Path) -> None:
    first, second = (tmp_path / f"{name}{suffix}" for name in "ab")
    # More methods than colours, and letters that mean something to matplotlib.
    recalls = {f"_method ${number}_": made_up(200 * number) for number in range(8)}
    for path in (first, second):
        recall_plot.draw_recall(recalls, path, "some $data, test")
    assert first.read_bytes() == second.read_bytes()
    if suffix.lower() == ".png":
        with Image.open(first) as picture:
            size = picture.size
        assert size == tuple(round(inches * recall_plot.DOTS_PER_INCH) for inches in recall_plot.INCHES)


def titles(figure: Figure) -> list[str]:
    return [panel.get_title(loc="left") for panel in figure.axes]


def test_lines_hold_the_numbers() -> None:
    recalls = {name: made_up(1000, height) for name, height in (("one", 0.25), ("another", 0.75))}
    figure = recall_plot.recall_figure(recalls, "data")
    assert titles(figure)[:4] == [f"{count} proposals per image" for count in COUNTS]
    for panel in figure.axes:
        lines = panel.get_lines()
        assert [set(line.get_ydata()) for line in lines] == [{0.25}, {0.75}]  # type: ignore[arg-type]
        across = [1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000] if panel in figure.axes[4:] else list(IOUS)
        assert [list(line.get_xdata()) for line in lines] == [across] * 2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("most", "counts"), [(5, [10]), (100, [10, 100]), (101, [10, 100, 300]), (300, [10, 100, 300])]
)
def test_more_proposals_than_were_measured_have_no_panel(most: int, counts: list[int]) -> None:
    figure = recall_plot.recall_figure({"one": made_up(most, 0.25), "another": made_up(3, 0.5)}, "data")
    assert titles(figure)[:-2] == [f"{count} proposals per image" for count in counts]
    assert titles(figure)[-2:] == ["at IoU 0.5", "mean over IoU 0.50 to 0.95"]


def test_a_panel_has_no_line_of_a_method_that_was_not_measured_there() -> None:
    panels = recall_plot.recall_figure({"one": made_up(300, 0.25), "another": made_up(2000, 0.75)}, "data").axes
    heights = [[set(line.get_ydata()) for line in panel.get_lines()] for panel in panels]  # type: ignore[arg-type]
    assert heights == [*[[{0.25}, {0.75}]] * 3, [{0.75}], *[[{0.25}, {0.75}]] * 2]
    colours = [panel.get_lines()[-1].get_color() for panel in panels]
    assert len(set(colours)) == 1


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("клетки", "клетки"),
        ("日本 $x$", "\\u65e5\\u672c $x$"),
        ("a\tb\nc", "a\\tb\\nc"),
        ("\udcff.json", "\\udcff.json"),
        ("\u202egnp", "\\u202egnp"),
        ("--><script>1</script>", "--><script>1</script>"),
    ],
)
@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_names_in_letters_that_the_font_lacks_are_escaped(tmp_path: Path, name: str, shown: str, suffix: str) -> None:
    # matplotlib warns of every letter that is missing, and a warning is an error in these tests.
    recall_plot.draw_recall({name: made_up(100)}, tmp_path / f"figure{suffix}", name)
    if suffix == ".svg":
        elements = ElementTree.parse(tmp_path / "figure.svg").iter()
        assert not [each for each in elements if each.tag.endswith("script")]
    figure = recall_plot.recall_figure({name: made_up(2000)}, name)
    assert figure.get_suptitle() == f"Recall of proposals on {shown}: 5 images, 7 objects"
    assert [text.get_text() for legend in figure.legends for text in legend.get_texts()] == [shown]


def test_nothing_to_find_gives_an_empty_figure(tmp_path: Path) -> None:
    recall_plot.draw_recall({"a method": made_up(100, None)}, tmp_path / "empty.svg", "nothing")
    assert (tmp_path / "empty.svg").stat().st_size > 0


def test_a_line_ends_where_there_are_no_more_proposals() -> None:
    assert recall_plot._counts(made_up(300)) == [1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300]
    assert recall_plot._counts(made_up(301))[-1] == 500
    assert recall_plot._counts(made_up(0)) == [1]
    assert recall_plot._counts(made_up(5000)) == list(CURVE_COUNTS)
    assert recall_plot._label("a", made_up(300)) == "a (at most 300 per image)"
    assert recall_plot._label("a", made_up(1000)) == "a"


def test_every_panel_of_recall_is_measured() -> None:
    assert set(COUNTS) <= set(CURVE_COUNTS)
