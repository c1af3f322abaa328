"""Class names for imported weights: COCO's, or those of the option --classes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from faster_rcnn.errors import ModelFileError
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.classes import coco_80_classes, coco_classes, object_class, read_classes


def test_cocos_classes() -> None:
    classes = coco_classes()
    assert len(classes) == 90
    assert len(classes.holes) == 10, "80 classes; ids 1 to 90"
    assert classes.names[classes.ids.index(1)] == "person"
    assert classes.names[classes.ids.index(12)] is None
    assert classes.name_of(classes.ids.index(90)) == "toothbrush"


def test_cocos_80_classes_have_ids_with_holes() -> None:
    classes = coco_80_classes()
    assert len(classes) == 80
    assert classes.holes == ()
    # Ids 12, 26, 29, 30, 45, 66, 68, 69, 71, 83 are not used: stop sign is 13, and the last of 80 has 90.
    assert [classes.ids[classes.names.index(name)] for name in ("person", "stop sign", "toothbrush")] == [1, 13, 90]


def test_an_rpn_has_one_class() -> None:
    assert object_class() == ClassMap(("object",), (1,))


def test_names_are_numbered_from_1_in_their_order() -> None:
    assert read_classes("cat, dog,cow", 3, coco_classes()) == ClassMap(("cat", "dog", "cow"), (1, 2, 3))
    # "N/A" marks a label without a class, and may be given several times.
    assert read_classes("N/A,dog,N/A", 3, coco_classes()) == ClassMap((None, "dog", None), (1, 2, 3))
    assert read_classes(None, 90, coco_classes()) == coco_classes()


@pytest.mark.parametrize(
    ("text", "count", "message"),
    [
        (None, 3, r"^E123 the file has 3 classes without names and COCO has 90; name them with --classes a,b,c or"),
        ("cat", 2, r"^E123 --classes cat names 1 class, the file has 2, background not counted"),
        ("cat,cat", 2, r"^E123 --classes cat,cat names 'cat' twice; each class needs its own name"),
        ("names.txt", 2, r"^E123 there is no file 'names\.txt' for --classes"),
    ],
)
def test_names_that_do_not_fit_are_refused(text: str | None, count: int, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        read_classes(text, count, coco_classes())


def test_names_in_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("cat\nchien é\n\n", encoding="utf-8-sig")
    assert read_classes(str(tmp_path / "names.txt"), 2, coco_classes()).names == ("cat", "chien é")


def test_names_may_come_out_of_a_stream_and_of_no_named_pipe(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"cat\ndog\n")
    os.close(writing)
    assert read_classes(f"/dev/fd/{reading}", 2, coco_classes()).names == ("cat", "dog")
    os.close(reading)
    os.mkfifo(tmp_path / "names")
    with pytest.raises(ModelFileError, match=r"E123 --classes: cannot read .*names: it is a named pipe, not a file"):
        read_classes(str(tmp_path / "names"), 1, coco_classes())
