"""Lines of YOLO's label files: boxes, polygons, keypoints, and invalid lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from faster_rcnn.data.formats.yolo_labels import KeypointShape, judge_outlines, read_labels, refuse_unknown_classes
from faster_rcnn.errors import DatasetError


def read(folder: Path, text: str, keypoints: KeypointShape | None = None) -> list[tuple[object, ...]]:
    (folder / "a.txt").write_text(text)
    return [(box.category, *map(float, box.written)) for box in read_labels(folder / "a.txt", keypoints).boxes]  # type: ignore[arg-type]


def judged(folder: Path, text: str) -> list[str]:
    (folder / "a.txt").write_text(text)
    return judge_outlines(read_labels(folder / "a.txt", None).outlines, "train")


@pytest.mark.parametrize(
    ("shape", "rest"),
    [
        (KeypointShape(2, 2), "0.4 0.5 0.6 0.5"),
        (KeypointShape(4, 3), "0.4 0.5 2 0.6 0.5 1 0 0 0 0.5 0.5 2"),
        (KeypointShape(1, 3), "0.4 0.5 2"),
        (KeypointShape(2, 3), "0.4 0.5 1 0 0 0"),
    ],
)
def test_with_a_keypoint_shape_the_first_four_numbers_are_the_box(
    tmp_path: Path, shape: KeypointShape, rest: str
) -> None:
    assert read(tmp_path, f"2 0.5 0.5 0.25 0.5 {rest}\n", shape) == [(2, 0.5, 0.5, 0.25, 0.5)]


def test_a_line_must_have_the_keypoints_that_are_declared(tmp_path: Path) -> None:
    # 5 + 2 * 3 = 11
    with pytest.raises(DatasetError, match=r"E103 .*a\.txt line 2 has 9 values; with kpt_shape: \[2, 3\] .* 11 values"):
        read(tmp_path, "\n0 0.5 0.5 0.2 0.2 0.1 0.1 0.2 0.2\n", KeypointShape(2, 3))


def test_a_polygon_gives_the_box_around_it(tmp_path: Path) -> None:
    # x from 0.25 to 0.75, y from 0.25 to 0.5
    assert read(tmp_path, "1 0.25 0.25 0.75 0.25 0.5 0.5") == [(1, 0.5, 0.375, 0.5, 0.25)]


def test_class_ids_may_be_written_as_floats(tmp_path: Path) -> None:
    assert [box[0] for box in read(tmp_path, "1.0 .5 .5 1 1\n0.000000e+00 .5 .5 1 1\n")] == [1, 0]


@pytest.mark.parametrize("word", ["1.5", "fig", "nan", "inf", "1e999", "1_0", "-"])
def test_unknown_classes_are_kept_as_written(tmp_path: Path, word: str) -> None:
    assert read(tmp_path, f"{word} .5 .5 1 1\n")[0][0] == word


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0,0.21,0.33,0.17,0.28", "'0,0.21,0.33,0.17,0.28' has commas or semicolons between its values"),
        ("0;0.21;0.33;0.17;0.28", "commas or semicolons"),
        ("0, 0.21, 0.33, 0.17, 0.28", "commas or semicolons"),
        ("0 0,21 0,33 0,17 0,28", "decimal commas; numbers are written with a point"),
        ("0 0.5 0.5 0.1 0.1 0.93", "6 values: it looks like detections with a score"),
        ("0 0.5 0.5 0.1 0.1 0.5 0.5 2", r"has 8 values.*write kpt_shape: \[1, 3\]"),
        ("0 0.5 0.5 0.1 0.1 " + "0.5 0.5 2 " * 17, r"has 56 values.*write kpt_shape: \[17, 3\]"),
        ("0 " + "0.5 " * 9, r"has 10 values, so it is neither a box \(5\) nor a polygon"),
    ],
)
def test_a_line_that_is_neither_box_nor_polygon_is_refused(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "a.txt").write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    with pytest.raises(DatasetError, match=rf"E103 .*a\.txt line 2.*{message}"):
        read_labels(tmp_path / "a.txt", None)


def test_a_polygon_with_a_word_in_it_is_no_box(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("0 0.1 0.2 0.3 0.4 0.5 oops\n")
    labels = read_labels(tmp_path / "a.txt", None)
    assert labels.outlines == ()
    assert labels.boxes[0].written == ("0.1", "0.2", "0.3", "0.4", "0.5", "oops")


VISIBLE = "0 0.5 0.5 0.4 0.4 0.45 0.5 2 0.6 0.5 1\n0 0.3 0.5 0.2 0.4 0.3 0.5 2 0 0 0\n"
UNSEEN = "0 0.5 0.5 0.4 0.4 0.45 0.5 0.6 0.5\n0 0.3 0.5 0.2 0.4 0 0 0 0\n"


@pytest.mark.parametrize(("text", "shape"), [(VISIBLE, "[2, 3]"), (UNSEEN, "[2, 2]")])
def test_lines_that_can_only_be_keypoints_are_refused(tmp_path: Path, text: str, shape: str) -> None:
    with pytest.raises(
        DatasetError, match=rf"E103 .*line 1 .*2 keypoints.*kpt_shape: {re.escape(shape)} in data\.yaml"
    ):
        judged(tmp_path, text)


def test_lines_that_may_be_keypoints_are_pointed_out(tmp_path: Path) -> None:
    notes = judged(tmp_path, "0 0.5 0.5 0.4 0.4 0.45 0.5 0.6 0.5\n1 0.3 0.5 0.2 0.4 0.3 0.4 0.3 0.6\n")
    assert notes[0] == "boxes around polygons: 2, in 1 label files of train"
    assert "may also be boxes with 2 keypoints" in notes[1]
    assert "kpt_shape: [2, 2]" in notes[1]


@pytest.mark.parametrize(
    "text",
    [
        # an oriented box whose later corners lie in the box that the first ones would be: x1 + x3 = x2 + x4
        "0 0.5 0.45 0.55 0.5 0.5 0.55 0.45 0.5\n",
        # polygons of several lengths
        "0 0.5 0.5 0.4 0.4 0.45 0.5\n0 0.5 0.5 0.4 0.4 0.45 0.5 0.6 0.5\n",
        # the whole image, closed: every third number is 0 or 1, and (0, 0) is there twice
        "0 0 0 1 0 1 1 0 1 0 0\n",
    ],
)
def test_polygons_are_not_read_as_keypoints(tmp_path: Path, text: str) -> None:
    lines = len(text.splitlines())
    assert judged(tmp_path, text) == [f"boxes around polygons: {lines}, in 1 label files of train"]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["fig"], "class 'fig', .*begins with the class's number: 'fig' is 1"),
        (["-1"], "class -1, but data.yaml names 2 classes .0-1."),
        (["99999999999999999999"], "class 99999999999999999999, but"),
        (["1.5"], "class '1.5', but"),
        (["\x05\x16"], r"class '\\x05\\x16', but"),
        (["1", "2"], "count classes from 1, YOLO from 0: subtract 1"),
        (["0", "2"], "add the name to data.yaml"),
    ],
)
def test_classes_without_a_name(tmp_path: Path, ids: list[str], message: str) -> None:
    (tmp_path / "a.txt").write_text("".join(f"{word} 0.5 0.5 1 1\n" for word in ids))
    boxes = read_labels(tmp_path / "a.txt", None).boxes
    with pytest.raises(DatasetError, match=rf"E111 labels/a\.txt line {len(ids)}: .*{message}"):
        refuse_unknown_classes([("labels/a.txt", boxes)], [(0, "date"), (1, "fig")], Path("data.yaml"))
