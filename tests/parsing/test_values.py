"""The meaning of values that are written as numbers or as text."""

from __future__ import annotations

from typing import Any

import pytest

from faster_rcnn.parsing.values import as_flag, as_id, as_integer, as_number, cut, first_of, is_text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, 7),
        (7.0, 7),
        ("7", 7),
        (" -7 ", -7),
        (10**20 + 1, 10**20 + 1),
        (str(10**20 + 1), 10**20 + 1),
        ("007", "007"),
        ("-0", "-0"),
        ("٣", "٣"),
        ("3f2a-uuid", "3f2a-uuid"),
        ("9" * 5000, "9" * 5000),
        (7.5, None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        (None, None),
        ("", None),
        ([7], None),
    ],
)
def test_ids(value: Any, expected: Any) -> None:
    assert as_id(value) == expected
    assert as_integer(value) == (expected if isinstance(expected, int) else None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3.0),
        ("3.5", 3.5),
        (" -1e2 ", -100.0),
        (".5", 0.5),
        ("1_000", None),
        ("3,5", None),
        ("nan", None),
        (float("inf"), None),
        ("1e999", None),
        (10**400, None),
        (True, None),
        (None, None),
        ([], None),
    ],
)
def test_numbers(value: Any, expected: float | None) -> None:
    assert as_number(value) == expected


@pytest.mark.parametrize("value", [0, 0.0, False, None, "0", "0.0", "False", "no", "", " NULL ", "Unspecified"])
def test_no(value: Any) -> None:
    assert as_flag(value) is False


@pytest.mark.parametrize("value", [1, 1.0, True, "1", "True", " YES "])
def test_yes(value: Any) -> None:
    assert as_flag(value) is True


@pytest.mark.parametrize("value", [2, -1, 0.5, float("nan"), "maybe", [], {}, 10**400])
def test_neither(value: Any) -> None:
    assert as_flag(value) is None


def test_a_long_text_that_is_nearly_a_number_is_rejected_in_linear_time() -> None:
    # Two ways to share out the digits would take time with the square of their number: hours for these.
    assert as_number("1" * 300_000 + "x") is None


@pytest.mark.parametrize(("text", "expected"), [("", True), ("é 红枣", True), ("a\ud800", False), ("\udcff", False)])
def test_half_of_a_character_is_no_text(text: str, expected: bool) -> None:
    assert is_text(text) is expected


def test_long_texts_are_cut() -> None:
    assert cut("x" * 80) == "x" * 80
    assert cut("x" * 81) == "x" * 77 + "..."


def test_the_first_items_of_a_list_are_named_and_the_others_counted() -> None:
    assert first_of([]) == ""
    assert first_of(["a", 2]) == "a, 2"
    assert first_of("abcdefg") == "a, b, c, d, e and 2 more"
    assert first_of(["x" * 1000, "b"], 1) == "x" * 297 + "... and 1 more"
