"""YAML of other programs: aliases that expand to too much, tags that do not fit, and texts that stay text."""

from __future__ import annotations

import tracemalloc

import pytest
import yaml

from faster_rcnn.parsing.yaml_values import composed, place_of, plain_value, text_value

LEVELS = 12
"""Levels of nine aliases each: 9^12 values, 282 thousand million, in about a kilobyte."""


def bomb(first: str, joined: str) -> str:
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{level}: &a{level} {joined % ', '.join([f'*a{level - 1}'] * 9)}" for level in range(1, LEVELS)]
    return "\n".join(lines)


def values(text: str) -> tuple[object, object]:
    plain, texts = composed(text), composed(text)
    assert plain is not None
    assert texts is not None
    return plain_value(plain), text_value(texts)


@pytest.mark.parametrize("text", [bomb("[x]", "[%s]"), bomb("{x: y}", "{<<: [%s]}"), bomb("xx", "[%s]")])
def test_an_alias_bomb_is_refused_and_takes_no_memory(text: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(yaml.YAMLError, match=r"its aliases \(\*name\) expand to millions of values"):
            composed(text)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000  # bytes
    finally:
        tracemalloc.stop()


def test_aliases_and_merged_keys_are_read() -> None:
    text = "a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}\nd: [&s cat, *s]"
    plain, texts = values(text)
    assert plain == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 2}, "c": {"x": 1, "y": 3}, "d": ["cat", "cat"]}
    assert texts == {
        "a": {"x": "1", "y": "2"},
        "b": {"x": "1", "y": "2"},
        "c": {"x": "1", "y": "3"},
        "d": ["cat", "cat"],
    }


def test_plain_values_are_numbers_and_texts_are_unchanged() -> None:
    plain, texts = values("[1, 1.5, yes, ~, 1.0e+2, 0x10, 2001-99-99, =, inf, 'a']")
    assert plain == [1, 1.5, True, None, 100.0, 16, "2001-99-99", "=", "inf", "a"]
    assert texts == ["1", "1.5", "yes", "~", "1.0e+2", "0x10", "2001-99-99", "=", "inf", "a"]
    assert values("!!int 3") == (3, "3")


def test_an_empty_document_has_no_root() -> None:
    assert composed("# nothing\n") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("&a [*a]", " at line 1 column 1: an alias is within the node that it names"),
        ("[" * 100_000, ": its lists or keys are nested too deeply"),
        ("x: " + "[" * 150 + "]" * 150, "nested too deeply"),
        ("a0: &a0 [x]\n" + "\n".join(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 500)), "nested too deeply"),
        ("a: !!set {b}", " at line 1 column 4: could not determine a constructor for the tag 'tag:yaml.org,2002:set'"),
        ("!!timestamp soon", "could not determine a constructor"),
        ('a: "\\ud800"', r"at line 1 column 4: '\ud800' holds half of a character"),
        ("a: b\x01", " at character 5: special characters are not allowed: 0x1"),
        ("a: *" + "b" * 1000, "found undefined alias 'bbb"),
    ],
)
def test_yaml_that_is_not_composed_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(yaml.YAMLError) as refusal:
        composed(text)
    assert message in place_of(refusal.value)
    assert len(place_of(refusal.value)) < 300


@pytest.mark.parametrize("kind", ["int", "float", "bool", "seq", "map"])
def test_values_that_do_not_fit_their_tag_are_refused(kind: str) -> None:
    root = composed(f"a:\n  - !!{kind} soon")
    assert root is not None
    with pytest.raises(yaml.YAMLError) as refusal:
        plain_value(root)
    assert place_of(refusal.value).startswith(" at line 2 column 5: ")


@pytest.mark.parametrize("number", ["1" * 5000, "0x" + "f" * 5000, "1:" * 5000 + "1"])
def test_a_number_of_thousands_of_digits_is_refused(number: str) -> None:
    root = composed(number)
    assert root is not None
    with pytest.raises(yaml.YAMLError, match="is not of the kind int"):
        plain_value(root)
    assert text_value(root) == number


def test_a_byte_of_a_file_name_that_is_no_utf_8_stays() -> None:
    assert values('"\\udcff"') == ("\udcff", "\udcff")


@pytest.mark.parametrize("text", ["{0: a, 0: b}", "{[a]: b, [a]: c}", "? {a: b}\n: c"])
def test_keys_that_stand_twice_or_are_no_text(text: str) -> None:
    root = composed(text)
    assert root is not None
    with pytest.raises(yaml.YAMLError, match=r"'0' occurs twice|unhashable key"):
        text_value(root)
