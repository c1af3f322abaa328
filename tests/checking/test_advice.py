"""Remarks on sound data, with the numbers they stand on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from faster_rcnn.checking.advice import Objects, advice_on, anchors_of, objects_of
from faster_rcnn.data.reading import load_present
from faster_rcnn.data.records import Split
from faster_rcnn.settings.schema import Config, DataConfig, DetectorConfig
from faster_rcnn.structures import ClassMap
from files import CLASSES, coco_folder
from tiny import tiny_config


def splits(tmp_path: Path, rows: list[list[tuple[float, ...]]]) -> dict[str, Split]:
    data = coco_folder(tmp_path, rows, split="train")
    coco_folder(tmp_path, rows[:1], split="val")
    return load_present(data, DataConfig()).splits


def remarks(given: dict[str, Split], config: Config) -> dict[tuple[str, str], str]:
    return {(each.kind, each.split): each.value for each in advice_on(given, None, config)}


def test_rare_absent_and_small_objects_are_named(tmp_path: Path) -> None:
    # 60 x 40 images become 96 x 64, so a box of 2 pixels becomes 3.2 pixels long.
    rows = [[(0, float(x), float(y), 2.0, 10.0) for x in range(0, 40, 4) for y in (0, 20)], [(1, 5.0, 5.0, 20.0, 20.0)]]
    found = remarks(splits(tmp_path, [list(each) for each in rows]), tiny_config())
    assert found["balance.classes", "train"] == (
        "classes of train are uneven: cat has 20 objects and dog 1, 20 times fewer"
    )
    assert found["balance.unlearnt", "train"] == "cow"
    assert found["balance.unmeasured", "val"] == "dog, cow"
    assert found["size.small", "train"].startswith("20 of 21 objects of train (95.2%) are smaller than 4 pixels")
    assert found["balance.few", "val"].startswith("val has 1 image and 20 objects")


def test_objects_are_resized_and_ignored_ones_left_out(tmp_path: Path) -> None:
    objects = objects_of(splits(tmp_path, [[(0, 10.0, 10.0, 20.0, 30.0)]])["train"], tiny_config().image)
    torch.testing.assert_close(objects.boxes, torch.tensor([[16.0, 16.0, 48.0, 64.0]]))
    assert float(objects.sides[0]) == pytest.approx((32 * 48) ** 0.5)


def test_anchors_that_do_not_fit_come_with_others_that_do() -> None:
    # Ten times as wide as high: no anchor of the usual ratios has an IoU of 0.5 with it.
    boxes = torch.tensor([[10.0, 10.0 + n, 90.0, 18.0 + n] for n in range(40)])
    objects = Objects(boxes, torch.zeros(40, dtype=torch.int64), ClassMap(("line",), (1,)))
    found = anchors_of(objects, tiny_config())
    assert found is not None
    assert found.all.half == found.by_class["line"].half == found.by_size["16 to 32"].half == 0
    assert found.fit is not None
    assert found.fit.after.half == 1
    assert found.to_json()["fitted"] == {"option": found.fit.words, "iou_50": 1.0}
    assert found.fit.words.startswith("--set 'rpn.anchor_sizes=[")
    line = next(each.value for each in advice_on({}, found, tiny_config()))
    assert line.endswith(found.fit.words)


def test_there_are_no_anchors_without_objects_or_without_a_first_stage() -> None:
    empty = Objects(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), CLASSES)
    assert anchors_of(empty, tiny_config()) is None
    one = Objects(torch.tensor([[1.0, 1.0, 9.0, 9.0]]), torch.zeros(1, dtype=torch.int64), CLASSES)
    alone = tiny_config().model_copy(update={"detector": DetectorConfig(kind="fast-rcnn")})
    assert anchors_of(one, alone) is None
