"""One class map for all splits, with hand-made listings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from faster_rcnn.data.classes import agree, labels_of
from faster_rcnn.data.layout.listing import Fault, ListedBox, ListedImage, Listing
from faster_rcnn.errors import DatasetError

Categories = Sequence[tuple[int, str]] | None


def listing(
    used: Sequence[int | str],
    categories: Categories,
    split: str = "train",
    parents: Sequence[str] = (),
    fault: Fault | None = None,
) -> Listing:
    """A split of one image with a box of each class in ``used``."""
    boxes = tuple(ListedBox(f"line {number}", (0, 0, 1, 1), category) for number, category in enumerate(used, 1))
    image = ListedImage("a.jpg", Path("a.jpg"), 1, None, boxes, "boxes", fault)
    declared = None if categories is None else tuple(categories)
    return Listing("CSV", split, Path(f"{split}.csv"), (image,), "xyxy", declared, frozenset(parents))


def test_declared_classes_are_sorted_by_id_and_labels_count_from_0() -> None:
    found = listing([9, 2, 9], [(9, "cat"), (2, "dog"), (40, "cow")])
    classes, notes = agree([found])
    assert (classes.ids, classes.names) == ((2, 9, 40), ("dog", "cat", "cow"))
    assert labels_of(classes, found) == {2: 0, 9: 1, 40: 2}
    assert notes == ("classes without any object in train, so they are not learnt: 1 of 3 (cow)",)


def test_classes_that_boxes_define_are_sorted_by_name_and_have_ids_from_1() -> None:
    found = listing(["dog", "cat", "dog"], None)
    classes, notes = agree([found])
    assert (classes.ids, classes.names, notes) == ((1, 2), ("cat", "dog"), ())
    assert labels_of(classes, found) == {"cat": 0, "dog": 1}


def test_names_of_other_splits_must_be_among_those_of_training() -> None:
    train, val = listing(["cat", "dog"], None), listing(["cat"], None, "val")
    classes, notes = agree([train, val])
    assert classes.names == ("cat", "dog")
    assert notes == ("no object of dog in val: it cannot be measured there",)
    with pytest.raises(DatasetError, match=r"^E116 .*: only in train \{cat, dog\}; only in val \{cow\}\."):
        agree([train, listing(["cow"], None, "val")])


def test_without_training_the_names_of_all_splits_count() -> None:
    classes, _ = agree([listing(["cow"], None, "val"), listing(["ant"], None, "test")])
    assert classes.names == ("ant", "cow")


@pytest.mark.parametrize("name", ["background", "__background__", " Background ", "_background_"])
def test_background_is_skipped_unless_it_has_boxes(name: str) -> None:
    classes, notes = agree([listing([1], [(0, name), (1, "cat")])])
    assert classes.names == ("cat",)
    assert notes == (
        f"category '{name}' (id 0) is declared but has no annotation; background is built in, so it is skipped",
    )
    with pytest.raises(DatasetError, match=r"^E114 the class '.*' has 1 boxes, but background is"):
        agree([listing([0, 1], [(0, name), (1, "cat")])])


def test_the_unused_parent_of_all_classes_is_skipped() -> None:
    """Roboflow writes it with the id 0."""
    classes, notes = agree([listing([1], [(0, "pets"), (1, "cat")], parents=["pets"])])
    assert classes.names == ("cat",)
    assert "it is the parent of the other categories, so it is skipped" in notes[0]
    assert agree([listing([0, 1], [(0, "pets"), (1, "cat")], parents=["pets"])])[0].names == ("pets", "cat")
    assert agree([listing([1], [(5, "pets"), (1, "cat")], parents=["pets"])])[0].names == ("cat", "pets")


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        ([(1, "cat"), (1, "dog")], r"E113 train\.csv: 2 categories have the id 1 \(names cat, dog\)"),
        ([(1, "cat"), (2, "cat")], r"E113 train\.csv: 2 categories have the name 'cat' \(ids 1, 2\)"),
        ([(2, "dog")], r"E112 train\.csv: 1 annotations use a category_id .* 'categories': 1 \(line 1 of a\.jpg\)"),
    ],
)
def test_declarations_that_cannot_be_used(categories: Categories, message: str) -> None:
    with pytest.raises(DatasetError, match=f"^{message}"):
        agree([listing([1], categories)])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ([(1, "dog"), (2, "cat")], r"class ids differ between train and val: cat, dog have other ids in one than in"),
        ([(1, "cat")], r"class lists differ: only in train \{2 dog\}; only in val \{nothing\}"),
        ([(1, "cat"), (2, "cow")], r"class lists differ: only in train \{2 dog\}; only in val \{2 cow\}"),
    ],
)
def test_splits_must_declare_the_same_classes(other: Categories, message: str) -> None:
    with pytest.raises(DatasetError, match=f"^E116 {message}"):
        agree([listing([1, 2], [(1, "cat"), (2, "dog")]), listing([1], other, "val")])


def test_data_without_any_class_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"^E115 train\.csv has no classes: nothing to train on"):
        agree([listing([], None)])
    with pytest.raises(DatasetError, match=r"^E102 none of the 1 images of train can be used: a\.xml is broken"):
        agree([listing([], None, fault=Fault("E102", "a.xml is broken"))])


def test_similar_names_are_reported_and_stay_apart() -> None:
    classes, notes = agree([listing(["Cat", "cat", "dog "], None)])
    assert classes.names == ("Cat", "cat", "dog ")
    assert notes == (
        "classes whose names differ in letter case or blanks alone: 'Cat' and 'cat'; they stay apart",
        "class names with blanks around them, kept: 'dog '",
    )
