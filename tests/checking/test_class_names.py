"""Classes of several splits, joined by their names; each contradiction is a finding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from faster_rcnn.checking.class_names import Classes, class_names
from faster_rcnn.data.classes import agree
from faster_rcnn.data.layout.listing import ListedBox, ListedImage, Listing
from faster_rcnn.errors import DatasetError


def listing(split: str, categories: tuple[tuple[int, str], ...] | None, *used: int | str) -> Listing:
    boxes = tuple(ListedBox(f"object {n}", (1, 2, 3, 4), key) for n, key in enumerate(used))
    image = ListedImage("a.jpg", Path("a.jpg"), 1, None, boxes, f"{split}.json")
    return Listing("COCO JSON", split, Path(f"{split}.json"), (image,), "xywh", categories)


def joined(*listings: Listing) -> Classes:
    return class_names({each.split: each for each in listings})


def found(classes: Classes) -> list[tuple[str, str, str]]:
    return [(each.kind, each.split, each.value) for each in classes.findings]


CATS = ((3, "cat"), (7, "dog"))


def test_classes_that_agree_keep_their_ids() -> None:
    classes = joined(listing("train", CATS, 3, 7), listing("val", CATS, 7))
    assert (classes.map.names, classes.map.ids) == (("cat", "dog"), (3, 7))
    assert classes.labels == {"train": {3: 0, 7: 1}, "val": {3: 0, 7: 1}}
    assert classes.findings == ()


def test_ids_that_differ_are_joined_by_name() -> None:
    classes = joined(listing("train", CATS, 3), listing("val", ((7, "cat"), (3, "dog")), 3))
    assert classes.labels["val"] == {7: 0, 3: 1}
    assert found(classes) == [
        ("class.ids-differ", "val", "the id 7, in train 3"),
        ("class.ids-differ", "val", "the id 3, in train 7"),
    ]


def test_spellings_are_joined_under_the_one_with_most_boxes() -> None:
    classes = joined(listing("train", None, "car", "car", "Car"), listing("val", None, " car"))
    assert classes.map.names == ("car",)
    assert classes.labels == {"train": {"car": 0, "Car": 0}, "val": {" car": 0}}
    assert found(classes) == [("class.spelling", "train, val", "'car' 2 boxes, 'Car' 1 box, ' car' 1 box")]


def test_a_name_with_two_ids_is_one_class_and_an_id_with_two_names_has_to_be_decided() -> None:
    twice = joined(listing("train", ((1, "cat"), (2, "cat")), 1, 2))
    assert (twice.map.ids, twice.labels["train"]) == ((1,), {1: 0, 2: 0})
    assert found(twice) == [("class.name-twice", "train", "the ids 1, 2")]
    entry_twice = joined(listing("train", ((1, "cat"), (1, "cat"), (2, "dog")), 1))
    assert found(entry_twice) == [("class.name-twice", "train", "2 entries with the id 1")]
    assert entry_twice.map.names == ("cat", "dog")
    two_names = joined(listing("train", ((1, "cat"), (1, "dog")), 1))
    assert found(two_names) == [("class.id-twice", "train", "the names cat, dog")]
    assert two_names.findings[0].change is None


def test_classes_of_one_split_are_declared_in_all_or_dropped_where_boxes_define_them() -> None:
    declared = joined(listing("train", CATS, 3), listing("val", (*CATS, (9, "owl")), 9))
    assert declared.map.names == ("cat", "dog", "owl")
    assert found(declared) == [("class.one-split", "train", "train does not declare it: 1 box in val")]
    by_boxes = joined(listing("train", None, "cat"), listing("val", None, "owl", "cat"))
    assert by_boxes.map.names == ("cat",)
    assert by_boxes.labels["val"] == {"cat": 0}
    assert found(by_boxes) == [("class.one-split", "train", "train has no box of it: 1 box in val")]


OWL = (*CATS, (9, "owl"))
COCO, BOXES = True, False


@pytest.mark.parametrize(
    ("with_owl", "declares", "expected"),
    [
        ("train", COCO, [("class.one-split", "val"), ("class.not-in-test", "test")]),
        ("val", COCO, [("class.one-split", "train")]),
        ("test", COCO, [("class.one-split", "train")]),
        ("train val", COCO, [("class.not-in-test", "test")]),
        ("train test", COCO, [("class.one-split", "val")]),
        ("val test", COCO, [("class.one-split", "train")]),
        ("train", BOXES, []),
        ("test", BOXES, [("class.one-split", "train")]),
    ],
)
def test_a_class_that_a_split_lacks_is_an_error_where_it_stops_training_or_is_not_learnt(
    with_owl: str, declares: bool, expected: list[tuple[str, str]]
) -> None:
    splits = [
        listing(split, OWL if split in with_owl else CATS, 3, *[9] * (split in with_owl))
        if declares
        else listing(split, None, "cat", *["owl"] * (split in with_owl))
        for split in ("train", "val", "test")
    ]
    assert [(each.kind, each.split) for each in joined(*splits).findings] == expected


def test_without_train_a_class_that_a_split_lacks_is_a_warning() -> None:
    assert found(joined(listing("val", CATS, 3), listing("test", OWL, 9))) == [
        ("class.not-in-test", "val", "val does not declare it: 1 box in test")
    ]
    assert joined(listing("val", None, "cat"), listing("test", None, "owl")).findings == ()


def test_a_parent_that_has_boxes_in_one_split_is_a_class_of_all() -> None:
    declared = ((0, "pets"), *CATS)
    train, val = listing("train", declared, 0, 3), listing("val", declared, 3, 7)
    both = [replace(each, parents=frozenset({"pets"})) for each in (train, val)]
    agree(both)  # so that training starts
    classes = joined(*both)
    assert classes.findings == ()
    assert classes.map.names == ("pets", "cat", "dog")


def test_background_has_no_label_and_is_a_fault_where_it_has_boxes() -> None:
    classes = joined(listing("train", ((0, "background"), *CATS), 0, 3))
    assert (classes.map.names, classes.labels["train"]) == (("cat", "dog"), {3: 0, 7: 1})
    assert found(classes) == [("class.background", "train", "1 box")]
    assert joined(listing("train", ((0, "background"), *CATS), 3)).findings == ()


def test_undeclared_ids_are_named_box_by_box() -> None:
    assert found(joined(listing("train", CATS, 3, 8, "x"))) == [
        ("class.undeclared", "train", "class 8; declared are 3, 7"),
        ("class.undeclared", "train", "class x; declared are 3, 7"),
    ]


def test_data_without_a_class_are_refused() -> None:
    with pytest.raises(DatasetError, match="has no classes"):
        joined(listing("train", None))
