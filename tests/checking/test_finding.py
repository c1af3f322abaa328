"""One finding: its level, its place, and its order among others."""

from __future__ import annotations

from faster_rcnn.checking.finding import Finding, by_kind, count_levels

FLAT = Finding("box.flat", "train", "a.jpg", "train.json annotation id 7", "[1, 2, 0, 4]", "the box is dropped")
REMARK = Finding("size.small", "train", "", "", "3 of 9 objects")
MISSING = Finding("image.missing", "val", "b.jpg", "val.json", "does not exist", "the image is left out")


def test_a_finding_has_what_its_kind_says() -> None:
    assert FLAT.level == "error"
    assert FLAT.place == "train a.jpg train.json annotation id 7"
    assert REMARK.place == "train"
    assert FLAT.to_json() == {
        "kind": "box.flat",
        "level": "error",
        "split": "train",
        "file": "a.jpg",
        "record": "train.json annotation id 7",
        "value": "[1, 2, 0, 4]",
        "leads_to": FLAT.about.leads_to,
        "remedy": FLAT.about.remedy,
        "change": "the box is dropped",
    }


def test_the_gravest_kinds_come_first_and_findings_keep_their_order() -> None:
    other = Finding("box.flat", "val", "c.jpg", "val.json annotation id 1", "[1, 2, 3, 0]", "the box is dropped")
    assert by_kind([REMARK, FLAT, MISSING, other]) == {
        "image.missing": [MISSING],
        "box.flat": [FLAT, other],
        "size.small": [REMARK],
    }
    assert count_levels([REMARK, FLAT, MISSING]) == {"error": 2, "warning": 0, "remark": 1}
