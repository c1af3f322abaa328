"""How many proposals of an image a file of the command holds, whatever the detector takes for itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from faster_rcnn.cli.proposals import proposals
from faster_rcnn.errors import OptionError
from faster_rcnn.proposals.file import load_proposals
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.model_file import save_model
from made_data import make_squares
from tiny import tiny_config, tiny_model


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    return make_squares(tmp_path / "data", {"train": 2, "val": 1})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A detector that takes 50 proposals for itself, of 60 anchors of each level."""
    path, numbers = tmp_path / "model.safetensors", {"proposals_before_nms": 60}
    save_model(path, tiny_model(rpn=numbers), tiny_config(rpn=numbers), ClassMap(("a", "b", "c"), (1, 2, 3)))
    return path


def boxes_in(path: Path) -> list[torch.Tensor]:
    return [each.proposals.boxes for each in load_proposals(path).images.values()]


def test_a_first_stage_gives_the_requested_number(squares: Path, model: Path, tmp_path: Path) -> None:
    few, many, all_of_them = (tmp_path / f"{name}.safetensors" for name in ("few", "many", "all"))
    for out, count in ((few, 7), (many, 400)):
        assert proposals(squares, method="rpn", model=str(model), mode="fast", out=out, count=count) == 0
    # An image of 64 x 96 has 3 x (16 x 24 + 8 x 12 + 4 x 6 + 2 x 3 + 1 x 2) = 1536 anchors. At most 60 of each level,
    # as the detector decodes for itself, would be 60 + 60 + 60 + 18 + 6 = 204, too few for 400.
    assert [len(boxes) for boxes in boxes_in(few)] == [7, 7, 7]
    assert [len(boxes) for boxes in boxes_in(many)] == [400, 400, 400]
    numbers = tmp_path / "recall.json"
    proposals(squares, method="rpn", model=str(model), mode="fast", out=all_of_them, json=str(numbers))
    most = max(len(boxes) for boxes in boxes_in(all_of_them))
    assert 400 < most <= 1536
    written = json.loads(numbers.read_text())
    assert max(each["most_proposals"] for each in written.values()) == most


def test_selective_search_gives_the_same_best_ones(squares: Path, tmp_path: Path) -> None:
    few, many = tmp_path / "few.safetensors", tmp_path / "many.safetensors"
    for out, count in ((few, 5), (many, 2000)):
        proposals(squares, method="selective-search", model=None, mode="fast", out=out, count=count)
    for boxes, more in zip(boxes_in(few), boxes_in(many), strict=True):
        assert len(boxes) == 5 < len(more)
        assert torch.equal(boxes, more[:5])


def test_less_than_one_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"--count 0: at least one proposal of an image is written"):
        proposals(tmp_path, method="selective-search", model=None, mode="fast", out=tmp_path / "no", count=0)
