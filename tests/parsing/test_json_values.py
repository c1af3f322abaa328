"""JSON of other programs: a message names the place of a fault, and no value makes it longer than a line."""

from __future__ import annotations

import json

import pytest

from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.json_values import (
    finite_score,
    four_numbers,
    parsed,
    parsed_lines,
    require_keys,
    shortened,
    shown,
    unknown_values,
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "a.json is not read: its lists or objects are nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        (f"[{'1' * 5000}]", "a number has thousands of digits"),
        ('{"a": 1, "a": 2}', "an object has the key 'a' twice, with different values"),
        ("[1,\n2,,3]", "line 2 column 3"),
    ],
)
def test_json_that_is_not_read(text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=f"E102 .*{message}"):
        parsed("a.json", text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, None, "é"]}, '{"a": [1, null, "\\u00e9"]}'),
        (float("nan"), "NaN"),
        ("\ud800", '"\\ud800"'),
        ([1] * 10, "[1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"),
        ("x" * 100, '"' + "x" * 76 + "..."),
        ({"a": "x" * 100}, '{"a": "' + "x" * 70 + "..."),
    ],
)
def test_a_value_is_shown_as_json_and_cut(value: object, expected: str) -> None:
    assert shortened(value) == expected


def test_only_the_shown_part_of_a_large_value_is_written_as_json() -> None:
    nested: list[object] = []
    for _ in range(5000):  # which no writer of JSON would come to the end of
        nested = [nested]
    with pytest.raises(RecursionError):
        json.dumps(nested)
    assert shortened(nested) == "[" * 77 + "..."


def test_the_line_of_a_fault_is_that_of_the_file() -> None:
    assert parsed_lines("a.jsonl", '{"a": 1}\n\n[2]\n') == [(1, {"a": 1}), (3, [2])]
    with pytest.raises(
        DatasetError, match=r"E102 a\.jsonl is not valid JSON at line 3 column 2: .*; the text ends in the"
    ):
        parsed_lines("a.jsonl", "1\n\n[\n")


def test_a_record_without_its_keys_is_refused_with_its_content() -> None:
    require_keys("a.json", {"id": 1, "more": 2}, ("id",), "an image")
    with pytest.raises(DatasetError, match=r"^E103 a\.json is not an image, it has no 'id', 'name': \{\}$"):
        require_keys("a.json", {}, ("id", "name"), "an image")
    with pytest.raises(DatasetError, match=r"it has no 'id': \[1\]$"):
        require_keys("a.json", [1], ("id",), "an image")


def test_a_box_is_four_finite_numbers() -> None:
    assert four_numbers("a", [1, 2.5, "3", -4], "[x, y, w, h]") == (1.0, 2.5, 3.0, -4.0)
    for value in ([1, 2, 3], [1, 2, 3, float("nan")], [1, 2, 3, None], [1, 2, 3, True], "1234", None):
        with pytest.raises(DatasetError, match=r"^E118 a: a box must be four finite numbers \[x, y, w, h\], not "):
            four_numbers("a", value, "[x, y, w, h]")


def test_a_score_is_any_finite_number() -> None:
    assert [finite_score("a", value) for value in (0, -3.5, "1e9")] == [0.0, -3.5, 1e9]
    for value in (float("inf"), None, "high"):
        with pytest.raises(DatasetError, match=r"^E118 a: 'score' must be a finite number, not "):
            finite_score("a", value)


def test_unknown_values_are_named_once_and_as_json() -> None:
    assert unknown_values([1, "a", 1, [2], None, "a", [2]], {1}) == ['"a"', "[2]", "null"]
    assert unknown_values(["x" * 300], set()) == ['"' + "x" * 76 + "..."]


def test_text_is_shown_unchanged_and_other_values_as_json() -> None:
    assert [shown(value) for value in (7, "a b", None, [1], "x" * 81)] == ["7", "a b", "null", "[1]", "x" * 77 + "..."]
