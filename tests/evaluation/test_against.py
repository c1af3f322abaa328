"""Two detectors on the same images: tables, the verdict and JSON."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from faster_rcnn.data.objects import split_without_classes
from faster_rcnn.data.reading import load_present
from faster_rcnn.data.records import Split
from faster_rcnn.errors import OptionError
from faster_rcnn.evaluation import engine
from faster_rcnn.evaluation.against import Comparison, Side, compare_sides
from faster_rcnn.settings.schema import DataConfig
from faster_rcnn.structures import Detections
from files import coco_folder

IMAGES = 12
BOX = (0, 5.0, 5.0, 30.0, 20.0)
HOW = {"device": "cpu", "precision": "float32", "threads": 1}


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    data = coco_folder(tmp_path_factory.mktemp("data"), [[BOX]] * IMAGES)
    return load_present(data, DataConfig()).splits["test"]


def side(split: Split, model: str, count: int, images: int = IMAGES) -> Side:
    """A detector that finds the cats of the first images, each exactly."""
    row, none = torch.tensor([[5.0, 5.0, 35.0, 25.0]]), torch.zeros(0)
    cat = Detections(row, torch.tensor([0.9]), torch.tensor([0]))
    nothing = Detections(none.reshape(0, 4), none, none.long())
    found = {place: cat if place < count else nothing for place in range(images)}
    return Side(model, split, found, HOW)


def compared(split: Split, own: int, other: int) -> Comparison:
    return compare_sides(side(split, "new", own), side(split, "old", other))


def test_the_better_one_is_named_with_its_lead_and_what_chance_explains(split: Split) -> None:
    """Half of the truths found perfectly: precision is 1 at the 51 levels of recall up to 0.5, of 101."""
    better, worse = compared(split, 12, 6), compared(split, 6, 12)
    for found, names in ((better, ("new", "old")), (worse, ("old", "new"))):
        begin = (
            f"{names[0]} is better than {names[1]} by 0.495 AP on 12 images; that is more than chance: the interval of"
        )
        assert found.verdict().startswith(begin)
        lower, upper = found.verdict().rpartition(" is ")[2].rstrip(".").split(" to ")
        assert 0 < float(lower) < 0.495 < float(upper) < 1
    assert "that may be chance: the interval of 95% is -" in compared(split, 7, 6).verdict()
    assert compared(split, 6, 6).verdict() == "new and old have equal AP on 12 images."


def test_without_hotcoco_or_truths_nothing_is_claimed(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = replace(split, records=())
    nothing = compare_sides(side(empty, "new", 0, 0), side(empty, "old", 0, 0))
    assert nothing.verdict() == "Neither is better: no object defines AP."
    monkeypatch.setattr(engine, "hotcoco", None)
    assert compared(split, 12, 6).verdict().endswith("whether chance explains it is not known without hotcoco.")


def test_the_table_has_both(split: Split) -> None:
    lines = compared(split, 12, 6).table().splitlines()
    assert lines[0].startswith("AP     1.000")
    assert "before: old; after: new" in lines
    assert "cat                    0.505   1.000  +0.495" in lines
    assert lines[-1].startswith("new is better than old")
    assert "dog                      n/a     n/a     n/a" in lines


def test_json_is_that_of_evaluate_with_the_other_one(split: Split) -> None:
    found = compared(split, 12, 6).to_json()
    assert (found["AP"], found["split"], found["device"]) == (1.0, "test", "cpu")
    against = found["against"]
    assert (against["model"], against["AP"], against["device"]) == ("old", pytest.approx(51 / 101), "cpu")
    change = against["changes"]["AP"]
    assert change["change"] == pytest.approx(50 / 101)
    assert change["significant"] is True
    assert change["interval"]["lower"] > 0
    assert against["per_class"]["dog"] == {"AP": None, "AP50": None}


def test_images_that_one_could_not_read_count_for_neither(split: Split) -> None:
    found = compare_sides(side(split, "new", 4, images=8), side(split, "old", 8))
    assert found.change.after.images == 8
    assert found.change.before.ap == 1


def test_other_classes_are_not_compared(split: Split) -> None:
    with pytest.raises(
        OptionError, match=r"^--against old: it is measured on other classes than new, such as a region"
    ):
        compare_sides(side(split, "new", 1), side(split_without_classes(split), "old", 1))
