"""Canvases of shrunk pictures: where the objects lie, how large they are, and which pictures are used."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from PIL import Image
from tiled_objects import CANVAS, main, make_tiled

from files import bytes_below
from made_data import make_squares


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_squares(tmp_path_factory.mktemp("tiled") / "squares", {"train": 9, "val": 2})


def content_of(folder: Path, split: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "annotations" / f"{split}.json").read_text())
    return found


def test_objects_are_small_many_and_inside(squares: Path, tmp_path: Path) -> None:
    folder = make_tiled(squares, tmp_path / "tiny", 3, side=10, objects=6)
    train, val = content_of(folder, "train"), content_of(folder, "val")
    assert [len(each["images"]) for each in (train, val)] == [3, 1]
    assert [each["name"] for each in train["categories"]] == ["dark", "light"]
    for content in (train, val):
        counts = [
            sum(each["image_id"] == image["id"] for each in content["annotations"]) for image in content["images"]
        ]
        assert counts == [6] * len(counts)
        for each in content["annotations"]:
            x, y, width, height = each["bbox"]
            assert 0 <= x <= x + width <= CANVAS[0]
            assert 0 <= y <= y + height <= CANVAS[1]
    sides = [(each["bbox"][2] * each["bbox"][3]) ** 0.5 for each in train["annotations"]]
    assert median(sides) == pytest.approx(10, abs=0.5)


def test_a_box_lies_on_its_object(squares: Path, tmp_path: Path) -> None:
    folder = make_tiled(squares, tmp_path / "tiny", 2, side=16, objects=4)
    content = content_of(folder, "train")
    for each in content["annotations"]:
        with Image.open(folder / "images" / content["images"][each["image_id"]]["file_name"]) as image:
            x, y, width, height = each["bbox"]
            middle = image.convert("L").getpixel((round(x + width / 2), round(y + height / 2)))
        assert isinstance(middle, int)
        assert middle > 200 if each["category_id"] == 2 else middle < 50


def test_equal_seeds_give_equal_bytes(squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = (make_tiled(squares, tmp_path / name, 2, seed=seed) for name, seed in (("a", 1), ("b", 2)))
    main(["--data", str(squares), "--out", str(tmp_path / "c"), "--images", "2", "--seed", "1"])
    assert capsys.readouterr().out == f"{tmp_path / 'c'}\n"
    assert bytes_below(one) == bytes_below(tmp_path / "c")
    assert bytes_below(one) != bytes_below(other)
