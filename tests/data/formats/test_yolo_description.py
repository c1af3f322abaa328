"""data.yaml and the files that replace it: values are kept as they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.data.formats.yolo_description import class_names, describe, keypoint_shape
from faster_rcnn.data.formats.yolo_labels import KeypointShape
from faster_rcnn.errors import DatasetError


def names_of(folder: Path, text: str) -> tuple[tuple[int, str], ...]:
    (folder / "data.yaml").write_text(text)
    return class_names(describe(folder / "data.yaml"))


@pytest.mark.parametrize(
    "text",
    [
        "names: [no, yes, on, 1.0, null, ~, 2001-01-01, 0o17, .inf]",
        "names: {0: no, 1: yes, 2: on, 3: 1.0, 4: null, 5: ~, 6: 2001-01-01, 7: 0o17, 8: .inf}",
        "names: {'0': no, '1': 'yes', '2': \"on\", '3': 1.0, '4': null, '5': ~, '6': 2001-01-01, '7': 0o17, '8': .inf}",
        "names:\n- no\n- yes\n- on\n- 1.0\n- null\n- ~\n- 2001-01-01\n- 0o17\n- .inf\nnc: 9",
    ],
)
def test_names_are_kept_as_written(tmp_path: Path, text: str) -> None:
    names = ["no", "yes", "on", "1.0", "null", "~", "2001-01-01", "0o17", ".inf"]
    assert names_of(tmp_path, text) == tuple(enumerate(names))


def test_numbers_of_classes_may_have_holes(tmp_path: Path) -> None:
    expected = ((0, "cat"), (5, "dog"))
    assert names_of(tmp_path, "names: {5: dog, 0: cat}\nnc: 2") == expected
    assert names_of(tmp_path, "names: {5: dog, 0: cat}\nnc: '6'") == expected


def test_names_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "obj.names").write_bytes("cat\r\nhot dog\r\n".encode("utf-8-sig"))
    for written in ("obj.names", "data/obj.names", "C:\\me\\data\\obj.names"):
        assert names_of(tmp_path, f"names: {written}") == ((0, "cat"), (1, "hot dog"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: {cat: 0, dog: 1}", r"E103 .*or names by class number \(found: cat: 0, dog: 1\)"),
        (f"names: {{? {'1' * 5000} : cat}}", "E103 .*found: 1+[.]{3}"),
        ('names: [cat, "\\udcff"]', "E103 .*class 1 has no name"),
        ("names: ['" + "x" * 1000 + "', '" + "x" * 1000 + "']", "E113 .*have the name 'x{77}[.]{3}'"),
        ("names: " + "x" * 1000, "E103 .*has names: x{77}[.]{3}, and there is no such file"),
        ("names: [cat]\nnc: " + "1" * 5000, "E111 .*has nc: 1{77}[.]{3}, but"),
        ("names: &a [*a]", "E102 .*line 1 column 8: an alias is within the node that it names"),
        ("names: {-1: cat}", "E103 .*found: -1: cat"),
        ("names: []", "E103 .*needs 'names'"),
        ("names: [cat, [dog]]", "E103 .*class 1 has no name"),
        ("names: [cat, '', dog]", "E103 .*class 1 has no name"),
        ("names: nowhere.names", "E103 .*has names: nowhere.names, and there is no such file"),
        ("names: [cat, dog]\nnc: three", "E111 .*nc: three, but lists 2 names"),
        ("names: {0: cat, 0: dog}", "E102 .*line 1 column 17: '0' occurs twice"),
        ("names: [cat]\nnames: [dog]", "E102 .*line 2 column 1: 'names' occurs twice"),
        ("names: !!python/name:os.system", "E102 .*not valid YAML at line 1"),
        ("names: [a]\nval: x\nvalid: y", "E103 .*names val twice, as x and as 'valid: y'"),
        ("names: [a]\ntrain: {a: b}", "E103 .*has no path at 'train'"),
    ],
)
def test_descriptions_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        names_of(tmp_path, text)


@pytest.mark.parametrize("nothing", ["", "~", "null", "None", "[]", "['']"])
def test_an_empty_list_is_no_split(tmp_path: Path, nothing: str) -> None:
    (tmp_path / "data.yaml").write_text(f"names: [a]\ntrain: images\ntest: {nothing}\nval: images\nvalid: images\n")
    assert describe(tmp_path / "data.yaml").splits == {"train": ("images",), "val": ("images",)}


@pytest.mark.parametrize(
    ("written", "shape"), [("[17, 3]", KeypointShape(17, 3)), ("['4', 2]", KeypointShape(4, 2)), ("", None)]
)
def test_keypoint_shapes(tmp_path: Path, written: str, shape: KeypointShape | None) -> None:
    (tmp_path / "data.yaml").write_text(f"names: [a]\nkpt_shape: {written}\n")
    assert keypoint_shape(describe(tmp_path / "data.yaml")) == shape


@pytest.mark.parametrize("written", ["17", "[17]", f"[{'1' * 5000}, 2]", "[17, 4]", "[0, 3]", "[a, 3]"])
def test_bad_keypoint_shapes(tmp_path: Path, written: str) -> None:
    (tmp_path / "data.yaml").write_text(f"names: [a]\nkpt_shape: {written}\n")
    with pytest.raises(DatasetError, match=r"E103 .*kpt_shape is .* it has to be .POINTS, 2. or .POINTS, 3."):
        keypoint_shape(describe(tmp_path / "data.yaml"))


def test_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_bytes("names: [piña]\n".encode("cp1252"))
    with pytest.raises(DatasetError, match=r"E102 .*data\.yaml is not text in UTF-8: byte 10 .*cp1252 gives '.piña.'"):
        describe(tmp_path / "data.yaml")


def test_a_key_of_darknet_with_two_values_is_refused(tmp_path: Path) -> None:
    (tmp_path / "obj.data").write_text("classes=1\nnames = a.names\nnames=a.names\nTrain = a.txt\ntrain = b.txt\n")
    with pytest.raises(DatasetError, match=r"E103 .*obj\.data line 5: 'train' has another value above; remove one"):
        describe(tmp_path / "obj.data")
