"""Numbers with a decimal comma are recognised, unless all of them may be thousands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faster_rcnn.data.formats.decimal_commas import commas_note, decimal_commas, with_point


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], []),
        (["10.5", "3"], []),
        (["10,5", "3", "-0,25"], ["10,5", "-0,25"]),
        (["1,234", "5,678"], []),  # thousands, perhaps
        (["1,234", "5,6"], ["1,234", "5,6"]),  # one of them cannot be thousands, so none is
        (["a,b", "1,2,3", ",5", "5,", "1 ,5"], []),
    ],
)
def test_texts_with_a_decimal_comma(texts: list[str], expected: list[str]) -> None:
    assert decimal_commas(texts) == expected


@pytest.mark.parametrize(("text", "expected"), [("10,5", "10.5"), ("-1,25", "-1.25"), ("a,b", "a,b"), ("3", "3")])
def test_a_comma_becomes_a_point(text: str, expected: str) -> None:
    assert with_point(text) == expected


@given(st.decimals(-10_000, 10_000, places=2))
def test_a_number_with_a_comma_is_read_as_the_number(number: object) -> None:
    text = str(number).replace(".", ",")
    assert decimal_commas([text]) == [text]
    assert with_point(text) == str(number)


def test_the_note_counts_them_and_has_an_example() -> None:
    assert commas_note(["10,5", "3,25"]) == "numbers with a decimal comma: 2, e.g. 10,5 is 10.5"
