"""Recall of proposals files: tables, JSON and the figure, from the command's own function."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from faster_rcnn.cli.recall import PICTURES, recall
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.errors import DatasetError, MissingExtraError, OptionError
from faster_rcnn.evaluation import recall_plot
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
    assert recall(squares, proposals=[good, half], split="val", plot=plot, json=str(numbers)) == 0
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
    assert recall(squares, proposals=[file], json="-") == 0
    assert json.loads(capsys.readouterr().out)["split"] == "test"


def test_two_files_of_one_method_are_named_by_their_paths(
    squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [proposals_file(squares, tmp_path / f"{name}.safetensors", "the same", 1.0, "test") for name in ("a", "b")]
    recall(squares, proposals=files)
    heads = [line for line in capsys.readouterr().out.splitlines() if "images" in line]
    assert [head.partition(" on test")[0] for head in heads] == [f"the same, {file}" for file in files]


def test_proposals_of_other_images_are_refused(
    squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = proposals_file(squares, tmp_path / "val.safetensors", "a good one", 1.0, "val")
    with pytest.raises(DatasetError, match=r"E136 .*proposals for none of the 2 images of test, .*--split"):
        recall(squares, proposals=[file], split="test")
    images = {"images/test0.png": ImageProposals(ImageSize(9, 9), Proposals(boxes_of([[0, 0, 5, 5]]), torch.ones(1)))}
    save_proposals(file, "of another size", images)
    with pytest.raises(DatasetError, match="were made at 9 x 9 pixels"):
        recall(squares, proposals=[file], split="test")
    some = proposals_file(squares, tmp_path / "some.safetensors", "a good one", 1.0, "test", most=1)
    assert recall(squares, proposals=[some], split="test") == 0
    assert "no proposals for 1 of the 2 images of test" in capsys.readouterr().err


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = tmp_path / "nothing.safetensors"
    with pytest.raises(OptionError, match=r"--plot .*figure\.jpg cannot be drawn; .* ends in \.svg, \.png"):
        recall(tmp_path, proposals=[nowhere], plot=tmp_path / "figure.jpg")
    with pytest.raises(OptionError, match="is given twice"):
        recall(tmp_path, proposals=[nowhere, nowhere])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "faster_rcnn.evaluation.recall_plot")
    monkeypatch.delattr("faster_rcnn.evaluation.recall_plot")
    with pytest.raises(MissingExtraError, match=r"'matplotlib': pip install 'faster-rcnn\[plots\]'"):
        recall(tmp_path, proposals=[nowhere], plot=tmp_path / "figure.png")


def test_every_kind_of_picture_can_be_drawn() -> None:
    assert set(PICTURES) == set(recall_plot.UNDATED)
