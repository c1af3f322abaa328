"""JSON of others: what is broken is told with its place, and no value makes a message longer than a line."""

from __future__ import annotations

import json

import pytest

from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.json_values import first_of, parsed, shortened


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


def test_of_a_large_value_no_more_is_written_than_is_shown() -> None:
    nested: list[object] = []
    for _ in range(5000):  # which no writer of JSON would come to the end of
        nested = [nested]
    with pytest.raises(RecursionError):
        json.dumps(nested)
    assert shortened(nested) == "[" * 77 + "..."


def test_of_names_the_first_are_shown_each_cut() -> None:
    assert first_of(["a", "b"]) == "a, b"
    assert first_of(["x" * 1000, *"abcde"]) == "x" * 77 + "..., a, b, c, d, ..."
