"""Proposals files: what was written is read, and what does not fit is told."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from faster_rcnn.errors import DatasetError
from faster_rcnn.proposals.file import (
    METADATA_KEY,
    ImageProposals,
    fingerprint,
    image_key,
    load_proposals,
    save_proposals,
)
from faster_rcnn.structures import ImageSize, Proposals
from tiny import boxes_of

SIZE = ImageSize(height=50, width=80)
NOWHERE = Path("nowhere.png")
"""An image file that is not there, of which its reader would tell."""


def proposals_of(*boxes: list[float]) -> Proposals:
    return Proposals(boxes_of(boxes), torch.linspace(1, 0.5, len(boxes)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    images = {
        "images/a.png": ImageProposals(SIZE, proposals_of([0, 0, 10, 10], [5, 5, 80, 50])),
        "images/none.png": ImageProposals(SIZE, proposals_of()),
        "images/b.png": ImageProposals(SIZE, proposals_of([1, 2, 3, 4])),
    }
    save_proposals(tmp_path / "p.safetensors", "by hand", images)
    return tmp_path / "p.safetensors"


def test_what_was_written_is_read(path: Path) -> None:
    file = load_proposals(path)
    assert file.method == "by hand"
    found = file.of("images/a.png", SIZE, NOWHERE)
    assert found.boxes.tolist() == [[0, 0, 10, 10], [5, 5, 80, 50]]
    assert found.scores.tolist() == [1.0, 0.5]
    assert file.of("images/b.png", SIZE, NOWHERE).boxes.tolist() == [[1, 2, 3, 4]]


def test_keys_are_relative_to_the_data(tmp_path: Path) -> None:
    assert image_key(tmp_path / "data", tmp_path / "data/images/a.png") == "images/a.png"
    assert image_key(tmp_path / "data", tmp_path / "photos/a.png") == "../photos/a.png"


def test_other_images_other_sizes_and_no_proposals_are_told(path: Path) -> None:
    file = load_proposals(path)
    with pytest.raises(DatasetError, match=r"E136 .*no proposals for 'c\.png'; make them anew: faster-rcnn proposals"):
        file.of("c.png", SIZE, NOWHERE)
    with pytest.raises(DatasetError, match="were made at 80 x 50 pixels, the image has 50 x 80"):
        file.of("images/a.png", ImageSize(80, 50), NOWHERE)
    with pytest.raises(DatasetError, match=r"no region was proposed for 'images/none\.png'"):
        file.of("images/none.png", SIZE, NOWHERE)
    with pytest.raises(DatasetError, match=r"proposed for 1 of the 2 images of train \('images/none\.png'\), so"):
        file.refuse_empty(["images/none.png", "images/a.png"], "train")


def test_another_image_of_the_same_name_and_size_is_told(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    image.write_bytes(b"123456789")
    assert fingerprint(image) == 0xCBF43926  # the check value that is published for CRC-32
    assert fingerprint(NOWHERE) is None
    given = {"a.png": ImageProposals(SIZE, proposals_of([0, 0, 10, 10]), fingerprint(image))}
    save_proposals(tmp_path / "p", "by hand", given)
    file = load_proposals(tmp_path / "p")
    assert len(file.of("a.png", SIZE, image).boxes) == 1
    image.write_bytes(b"987654321")
    with pytest.raises(DatasetError, match=r"E136 .*were made of another image of that name and size than .*a\.png"):
        file.of("a.png", SIZE, image)


@pytest.mark.parametrize("box", [[0, 0, 81, 10], [-1, 0, 5, 5], [5, 5, 5, 9], [9, 9, 2, 12], [0, 0, float("nan"), 5]])
def test_boxes_that_are_none_are_told(tmp_path: Path, box: list[float]) -> None:
    save_proposals(tmp_path / "bad", "by hand", {"a.png": ImageProposals(SIZE, proposals_of([0, 0, 9, 9], box))})
    with pytest.raises(DatasetError, match=r"proposal 1 of 'a\.png' is .* no box inside the image of 80 x 50"):
        load_proposals(tmp_path / "bad")


def test_what_is_no_proposals_file_is_told(path: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no such file"):
        load_proposals(tmp_path / "nowhere")
    (tmp_path / "text").write_text("not at all")
    with pytest.raises(DatasetError, match="it is not a file of proposals, or is damaged"):
        load_proposals(tmp_path / "text")
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DatasetError, match="or is damaged"):
        load_proposals(path)


GOOD = {"boxes": torch.tensor([[0.0, 0.0, 9.0, 9.0]]), "scores": torch.ones(1), "counts": torch.ones(1).long()}
HEADER = {"format": 1, "method": "by hand", "images": [["a.png", 80, 50]]}


@pytest.mark.parametrize(
    ("tensors", "header"),
    [
        ({"boxes": GOOD["boxes"].double()}, {}),
        ({"boxes": GOOD["boxes"].int()}, {}),
        ({"boxes": torch.zeros(1, 5)}, {}),
        ({"scores": torch.ones(1).half()}, {}),
        ({"scores": torch.ones(1, 1)}, {}),
        ({"scores": torch.tensor([float("nan")])}, {}),
        ({"counts": torch.tensor([2])}, {}),
        ({}, {"images": []}),
        ({}, {"fingerprints": []}),
        ({}, {"method": None}),
        ({}, {"images": [["a.png", 10**400, 50]]}),
        ({}, {"images": [["a.png", 80, -50]]}),
        ({}, {"images": [["a.png", "1" * 5000, 50]]}),
        ({}, {"images": 5}),
        ({}, {"format": [1]}),
        ({}, {"unreadable": 5}),
        ({}, {"images": [["a.png", float("inf"), 50]]}),
        ({}, {"images": [["a.png", 10**30, 50]]}),
        ({}, {"images": [["a.png", 80, 2**31 + 1]]}),
        ({}, {"images": [["a.png", "80", 50]]}),
        (
            {"boxes": torch.zeros(0, 4), "scores": torch.zeros(0), "counts": torch.tensor([0, 0])},
            {"images": [["a.png", 80, 50]] * 2},
        ),
    ],
)
def test_a_damaged_part_is_told(tmp_path: Path, tensors: dict[str, torch.Tensor], header: dict[str, object]) -> None:
    path = tmp_path / "p.safetensors"

    def written(tensors: dict[str, torch.Tensor], header: dict[str, object]) -> Path:
        rest = {key: value for key, value in {**HEADER, **header}.items() if value is not None}
        save_file({**GOOD, **tensors}, path, metadata={METADATA_KEY: json.dumps(rest)})
        return path

    assert load_proposals(written({}, {})).method == "by hand"
    with pytest.raises(DatasetError, match="it is not a file of proposals, or is damaged"):
        load_proposals(written(tensors, header))


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "5", "null", '{"format": 1, "images": ' + "1" * 5000 + "}"])
def test_a_description_that_is_none_is_told(tmp_path: Path, text: str) -> None:
    save_file(GOOD, tmp_path / "p.safetensors", metadata={METADATA_KEY: text})
    with pytest.raises(DatasetError, match="it is not a file of proposals, or is damaged"):
        load_proposals(tmp_path / "p.safetensors")


def test_a_named_pipe_and_a_folder_are_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(DatasetError, match=r"E136 .*cannot be used: it is not a file of proposals"):
        load_proposals(tmp_path / "pipe.safetensors")
    with pytest.raises(DatasetError, match=r"E136 .*cannot be used: it is not a file of proposals"):
        load_proposals(tmp_path)


def test_a_file_of_no_images_is_one(tmp_path: Path) -> None:
    save_proposals(tmp_path / "empty", "by hand", {})
    assert load_proposals(tmp_path / "empty").images == {}
