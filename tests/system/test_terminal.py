from __future__ import annotations

import sys
import unicodedata

import pytest

from faster_rcnn.system.terminal import printable, printable_lines

ORDINARY = (
    "plain, piña, 猫, \N{ZERO WIDTH NON-JOINER}می‌خواهم, עברית\u200f, 👩\u200d🔬, C:\\temp\\new, 100 %, [bold]:smile:"
)


def test_ordinary_text_is_unchanged() -> None:
    assert printable(ORDINARY) == ORDINARY


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\rb\nc\td\x00", "a\\rb\\nc\\td\\x00"),
        ("\x9b2J\x7f\x85", "\\x9b2J\\x7f\\x85"),
        ("a\u202egnp.exe", "a\\u202egnp.exe"),
        ("\u2066a\u2069", "\\u2066a\\u2069"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\udcff.jpg", "\\udcff.jpg"),
    ],
)
def test_control_characters_are_escaped(name: str, text: str) -> None:
    assert printable(name) == text
    assert printable_lines(f"1\n{name}\n") == f"1\n{text}\n".replace("\\n", "\n" if "\n" in name else "\\n")


def test_no_character_of_a_dangerous_kind_is_left() -> None:
    text = printable("".join(map(chr, range(sys.maxunicode + 1))))
    assert {unicodedata.category(each) for each in text} & {"Cc", "Cs", "Zl", "Zp"} == set()
    assert {unicodedata.bidirectional(each) for each in text} & {
        "LRE",
        "RLE",
        "LRO",
        "RLO",
        "PDF",
        "LRI",
        "RLI",
    } == set()
