"""The demo's data: drawn well, split honestly, the same every time."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from faster_rcnn.data.reading import load_dataset
from faster_rcnn.demo.digits import CREDITS, REGIONS, SIZE, Box, Sources, _scatter, make_digits, split_samples
from faster_rcnn.demo.pen import strokes
from faster_rcnn.errors import MissingExtraError
from faster_rcnn.settings.schema import DataConfig

SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_digits(tmp_path_factory.mktemp("digits"), seed=3, train=21, val=4, test=4)


def content(out: Path, split: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((out / "annotations" / f"{split}.json").read_text(encoding="utf-8"))
    return loaded


def bar() -> np.ndarray:
    """A stroke 2 pixels wide and 8 tall, as one surface."""
    counts = np.zeros((1, 8, 8))
    counts[0, :, 3:5] = 1
    return np.asarray(strokes(counts)[0])


def gap(one: Box, other: Box) -> int:
    """Pixels between two boxes along the axis that separates them best; negative where they overlap."""
    return max(one[0] - other[2], other[0] - one[2], one[1] - other[3], other[1] - one[3])


def test_boxes_are_tight_around_what_was_drawn() -> None:
    sources = Sources(np.stack([bar()] * 3), np.array([1, 1, 1]), ())
    pixels = np.full((SIZE.height, SIZE.width, 3), 255, dtype=np.uint8)
    placed = _scatter(pixels, [0, 1, 2], sources, np.random.default_rng(1))
    changed = (pixels != 255).any(axis=2)
    assert len(placed) == 3
    for x1, y1, x2, y2 in (digit.box for digit in placed):
        inside = changed[y1:y2, x1:x2]
        assert inside[[0, -1]].any(axis=1).all()
        assert inside[:, [0, -1]].any(axis=0).all()
        changed[y1:y2, x1:x2] = False
    assert not changed.any()


def test_a_full_picture_takes_no_more_digits() -> None:
    sources = Sources(bar()[None], np.array([1]), ())
    pixels = np.full((SIZE.height, SIZE.width, 3), 255, dtype=np.uint8)
    placed = _scatter(pixels, [0] * 400, sources, np.random.default_rng(1))
    assert 10 < len(placed) < 400
    assert all(gap(one.box, other.box) >= 3 for one, other in itertools.combinations(placed, 2))


def test_splits_share_no_region_of_a_photograph() -> None:
    for one, other in itertools.combinations(SPLITS, 2):
        assert all(gap(a, b) >= 16 for a, b in zip(REGIONS[one], REGIONS[other], strict=True))


def test_splits_share_no_digit_sample() -> None:
    parts = split_samples(1797, seed=0)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(1797))
    # 0.7 * 1797 = 1257.9; 0.85 * 1797 = 1527.45.
    assert [len(parts[split]) for split in SPLITS] == [1258, 269, 270]


def test_what_was_made_keeps_to_its_split(made: Path) -> None:
    names = ("china.jpg", "flower.jpg")
    used = {}
    for split in SPLITS:
        data = content(made, split)
        used[split] = {annotation["digit_sample"] for annotation in data["annotations"]}
        for image in data["images"]:
            x1, y1, x2, y2 = image["photograph_view"]
            left, top, right, bottom = REGIONS[split][names.index(image["photograph"])]
            assert left <= x1 < x2 <= right
            assert top <= y1 < y2 <= bottom
    assert not any(used[one] & used[other] for one, other in itertools.combinations(SPLITS, 2))


def test_boxes_lie_inside_and_apart(made: Path) -> None:
    data = content(made, "train")
    for image in data["images"]:
        found = [each for each in data["annotations"] if each["image_id"] == image["id"]]
        boxes = [(x, y, x + w, y + h) for x, y, w, h in (each["bbox"] for each in found)]
        assert all(0 <= x1 < x2 <= SIZE.width and 0 <= y1 < y2 <= SIZE.height for x1, y1, x2, y2 in boxes)
        assert all(gap(one, other) >= 3 for one, other in itertools.combinations(boxes, 2))
        assert len(found) <= 8
        assert (len(found) == 0) == (image["id"] == 20)


def test_labels_are_those_of_scikit_learn(made: Path) -> None:
    digits = pytest.importorskip("sklearn.datasets").load_digits().target
    for annotation in content(made, "test")["annotations"]:
        assert annotation["category_id"] == digits[annotation["digit_sample"]]


def test_the_data_set_loads(made: Path) -> None:
    dataset = load_dataset(made, DataConfig())
    assert dataset.classes.names == tuple("0123456789")
    assert {name: len(split.records) for name, split in dataset.splits.items()} == {"train": 21, "val": 4, "test": 4}
    with Image.open(dataset.splits["test"].records[0].path) as picture:
        assert (picture.height, picture.width, picture.mode) == (*SIZE, "RGB")


def test_credits_travel_with_the_data(made: Path) -> None:
    assert (made / "CREDITS.txt").read_text(encoding="utf-8") == CREDITS
    assert content(made, "val")["info"]["credits"] == CREDITS


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    def everything(folder: str, seed: int) -> dict[str, bytes]:
        out = make_digits(tmp_path / folder, seed=seed, train=2, val=1, test=1)
        return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}

    first = everything("a", 0)
    assert len(first) == 4 + 3 + 1
    assert everything("b", 0) == first
    assert everything("c", 1) != first


def test_without_scikit_learn_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtraError, match=r"faster-rcnn\[demo\]"):
        make_digits(tmp_path / "out")
    assert not (tmp_path / "out").exists()
