"""Pictures of findings and of labelled images."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.checking.finding import Finding
from faster_rcnn.checking.run import check_data
from faster_rcnn.checking.tiles import MAX_SAMPLES, MAX_TILES, SAMPLE, SIDE, finding_tiles, sample_tiles
from files import coco_folder, image_file
from tiny import tiny_config

LIMIT = 10**6


def test_a_box_a_pair_and_a_whole_image(tmp_path: Path) -> None:
    one, two = image_file(tmp_path / "a.png", 40, 60), image_file(tmp_path / "b.png", 60, 40)
    box = Finding("box.beyond", "train", "x/a.png", "", "", None, one, (10.0, 10.0, 30.0, 30.0))
    pair = Finding("duplicate.near", "train", "a.png", "", "", None, one, other=two)
    whole = Finding("image.type", "train", "a.png", "", "", None, one)
    tiles = finding_tiles([box, pair, whole], LIMIT)
    assert [tile.caption for tile in tiles] == ["train a.png"] * 3
    assert [tile.picture.size for tile in tiles] == [(SIDE, SIDE), (SIDE + round(SIDE * 2 / 3) + 4, SIDE), (SIDE, 117)]
    assert tiles[0].description == f"a.png: {box.about.title}"


def test_findings_without_a_readable_image_have_no_picture(tmp_path: Path) -> None:
    broken = tmp_path / "a.png"
    broken.write_bytes(b"")
    findings = [
        Finding("image.undecodable", "train", "a.png", "", "", None, broken),
        Finding("size.small", "train", "", "", ""),
    ]
    assert finding_tiles(findings, LIMIT) == []


def test_only_some_of_many_are_shown(tmp_path: Path) -> None:
    path = image_file(tmp_path / "a.png")
    many = [Finding("image.type", "train", str(number), "", "", None, path) for number in range(50)]
    assert len(finding_tiles(many, LIMIT)) == MAX_TILES


def test_labelled_images_with_their_boxes(tmp_path: Path) -> None:
    data = coco_folder(tmp_path, [[(0, 3.0, 4.0, 10.0, 20.0)], *[[]] * 20], split="train")
    tiles = sample_tiles(check_data(data, tiny_config()).mended.splits["train"], LIMIT)
    assert len(tiles) == MAX_SAMPLES
    assert tiles[0].caption == "1.png, 1"
    assert tiles[0].picture.size == (SAMPLE, SAMPLE * 40 // 60)
