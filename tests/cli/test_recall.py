"""Recall of proposals files: tables, JSON and the figure, from the command's own function."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from faster_rcnn.cli.bodies import recall
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.errors import DatasetError, MissingExtraError, OptionError
from faster_rcnn.evaluation import recall_plot
from faster_rcnn.evaluation.recall import COUNTS, CURVE_COUNTS, IOUS, ProposalRecall
from faster_rcnn.proposals.file import ImageProposals, image_key, save_proposals
from faster_rcnn.settings.schema import DataConfig
from faster_rcnn.structures import ImageSize, Proposals
from made_data import make_squares
from tiny import boxes_of


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    return make_squares(tmp_path / "data", {"train": 4, "val": 2, "test": 2})


def proposals_file(data: Path, path: Path, method: str, share: float, split: str, most: int = 9) -> Path:
    """For every object of the first images of a split a box that covers this share of it, and nothing else."""
    dataset = load_dataset(data, DataConfig())
    images = {}
    for record in dataset.splits[split].records[:most]:
        boxes = record.truth.boxes.clone()
        boxes[:, 3] = boxes[:, 1] + share * (boxes[:, 3] - boxes[:, 1])
        images[image_key(dataset.root, record.path)] = ImageProposals(
            record.size, Proposals(boxes, torch.linspace(1, 0, len(boxes)))
        )
    save_proposals(path, method, images)
    return path


def test_two_files_are_measured_on_one_split(squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = proposals_file(squares, tmp_path / "good.safetensors", "a good one", 1.0, "val")
    half = proposals_file(squares, tmp_path / "half.safetensors", "half a one", 0.6, "val")
    numbers, plot = tmp_path / "numbers.json", tmp_path / "figure.svg"
    assert recall.run(squares, [good, half], split="val", plot=plot, json=str(numbers)) == 0
    written = json.loads(numbers.read_text())
    assert written["split"] == "val"
    first, second = written["proposals"]
    assert (first["file"], first["method"], second["method"]) == (str(good), "a good one", "half a one")
    assert first["recall"]["10"] == [1.0] * 10
    # An IoU of 0.6 counts at 0.50, 0.55 and (but for rounding of its height) 0.60.
    assert second["recall"]["10"][:2] == [1.0, 1.0]
    assert second["recall"]["10"][3:] == [0.0] * 7
    # An image has one object, and so one proposal: there is nothing to measure beyond the first number.
    assert (first["most_proposals"], first["recall"]["100"]) == (1, [None] * 10)
    out = capsys.readouterr().out
    assert out.count("at most 1 proposals of an image, so that recall is not measured for 100, 300, 1000") == 2
    assert "a good one on val: 2 images" in out
    assert "half a one on val: 2 images" in out
    assert ElementTree.parse(plot).getroot().tag.endswith("svg")


def test_only_json_on_standard_output(squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = proposals_file(squares, tmp_path / "good.safetensors", "a good one", 1.0, "test")
    assert recall.run(squares, [file], json="-") == 0
    assert json.loads(capsys.readouterr().out)["split"] == "test"


def test_two_files_of_one_method_are_told_apart(
    squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [proposals_file(squares, tmp_path / f"{name}.safetensors", "the same", 1.0, "test") for name in ("a", "b")]
    recall.run(squares, files)
    heads = [line for line in capsys.readouterr().out.splitlines() if "images" in line]
    assert [head.partition(" on test")[0] for head in heads] == [f"the same, {file}" for file in files]


def test_proposals_of_other_images_are_refused(
    squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = proposals_file(squares, tmp_path / "val.safetensors", "a good one", 1.0, "val")
    with pytest.raises(DatasetError, match=r"E136 .*proposals for none of the 2 images of test, .*--split"):
        recall.run(squares, [file], split="test")
    images = {"images/test0.png": ImageProposals(ImageSize(9, 9), Proposals(boxes_of([[0, 0, 5, 5]]), torch.ones(1)))}
    save_proposals(file, "of another size", images)
    with pytest.raises(DatasetError, match="were made at 9 x 9 pixels"):
        recall.run(squares, [file], split="test")
    some = proposals_file(squares, tmp_path / "some.safetensors", "a good one", 1.0, "test", most=1)
    assert recall.run(squares, [some], split="test") == 0
    assert "no proposals for 1 of the 2 images of test" in capsys.readouterr().err


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = tmp_path / "nothing.safetensors"
    with pytest.raises(OptionError, match=r"--plot .*figure\.jpg cannot be drawn; .* ends in \.svg, \.png"):
        recall.run(tmp_path, [nowhere], plot=tmp_path / "figure.jpg")
    with pytest.raises(OptionError, match="is given twice"):
        recall.run(tmp_path, [nowhere, nowhere])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "faster_rcnn.evaluation.recall_plot")
    monkeypatch.delattr("faster_rcnn.evaluation.recall_plot")
    with pytest.raises(MissingExtraError, match=r"'matplotlib': pip install 'faster-rcnn\[plots\]'"):
        recall.run(tmp_path, [nowhere], plot=tmp_path / "figure.png")


def made_up(most: int, height: float | None = 0.8) -> ProposalRecall:
    """Every value the same."""
    return ProposalRecall(
        images=5,
        truths=7,
        most=most,
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


def test_what_is_told_is_measured() -> None:
    assert set(COUNTS) <= set(CURVE_COUNTS)
    assert set(recall.PICTURES) == set(recall_plot.UNDATED)
