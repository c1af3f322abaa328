"""The table of error codes agrees with the messages of the package."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from faster_rcnn import errors
from faster_rcnn.error_codes import CODES, ErrorCode

PACKAGE = Path(__file__).parents[1] / "src" / "faster_rcnn"
TREES = {
    path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.parent.name != "error_codes"
}
TABLE = {entry.code: entry for entry in CODES}

MIN_LITERAL_LETTERS = 8
"""A message template with fewer letters of its own would match nearly any example."""


def documentation(tree: ast.Module) -> set[int]:
    """Identities of the nodes that are docstrings: expressions that consist of a string."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def used_codes(tree: ast.Module) -> Iterator[str]:
    """Codes that strings are, or begin with; one alone or before a message."""
    docs = documentation(tree)
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in docs else None
        if isinstance(text, str) and (found := re.match(r"(E\d{3})(?: |$)", text)):
            yield found[1]


def templates(tree: ast.Module) -> Iterator[str]:
    """Every string of a file as a regular expression; whatever an f-string fills in is any text."""
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        values = node.values if isinstance(node, ast.JoinedStr) else [node] if isinstance(node, ast.Constant) else []
        texts = [value.value if isinstance(value, ast.Constant) else None for value in values]
        literal = "".join(text for text in texts if isinstance(text, str))
        if id(node) not in parts and sum(map(str.isalpha, literal)) >= MIN_LITERAL_LETTERS:
            yield "".join(re.escape(text) if isinstance(text, str) else ".*" for text in texts)


def produced(entry: ErrorCode, trees: dict[str, ast.Module]) -> bool:
    """Whether a file that uses the code has a string that could have become the example."""
    known = (tree for tree in trees.values() if entry.code in set(used_codes(tree)))
    return any(
        re.fullmatch(rf"(?:{entry.code} )?{template}", entry.example, re.DOTALL)
        for tree in known
        for template in templates(tree)
    )


def raised(trees: dict[str, ast.Module]) -> Iterator[tuple[str, str]]:
    """Pairs of a code and the class that is raised with it."""
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                for keyword in node.keywords:
                    if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                        yield str(keyword.value.value), node.func.id


def test_the_table_has_exactly_the_codes_of_the_package() -> None:
    assert sorted(TABLE) == sorted({code for tree in TREES.values() for code in used_codes(tree)})


def test_codes_are_sorted_and_have_one_meaning_each() -> None:
    assert [entry.code for entry in CODES] == sorted(TABLE)
    for texts in zip(*((entry.title, entry.meaning, entry.example, entry.remedy) for entry in CODES), strict=True):
        assert len(set(texts)) == len(CODES)


@pytest.mark.parametrize("entry", CODES, ids=lambda entry: entry.code)
def test_examples_are_messages_of_the_package(entry: ErrorCode) -> None:
    assert produced(entry, TREES)


@pytest.mark.parametrize("entry", CODES, ids=lambda entry: entry.code)
def test_texts_are_sentences_on_one_line(entry: ErrorCode) -> None:
    assert re.fullmatch(r"E\d{3}", entry.code)
    assert not entry.title.endswith(".")
    assert all(text.endswith(".") for text in (entry.meaning, entry.remedy))
    assert not any("\n" in text for text in (entry.title, entry.meaning, entry.example, entry.remedy))
    assert not entry.example.startswith(entry.code)


def test_exit_codes_are_those_of_the_exceptions() -> None:
    pairs = list(raised(TREES))
    for code, name in pairs:
        assert getattr(errors, name).exit_code in TABLE[code].exit_codes, (code, name)
    for entry in CODES:
        codes = {getattr(errors, name).exit_code for code, name in pairs if code == entry.code}
        # A code that is only stored beside its message, such as that of one box, is raised with a DatasetError.
        assert set(entry.exit_codes) == (codes or {errors.DatasetError.exit_code}), entry.code


def test_the_comparison_can_fail() -> None:
    program = """
def check(x):
    '''E199 is explained here.'''
    faults.append(Fault("E198", f"{x} is not usable, remove it"))
    raise DatasetError(f"{x} is broken in line {x}", code="E199")
"""
    trees = {"a.py": ast.parse(program)}
    assert sorted(used_codes(trees["a.py"])) == ["E198", "E199"]
    assert list(raised(trees)) == [("E199", "DatasetError")]
    assert produced(ErrorCode("E199", "", "", "a.json is broken in line 3", ""), trees)
    assert not produced(ErrorCode("E199", "", "", "a.json is damaged in line 3", ""), trees)
    assert not produced(ErrorCode("E197", "", "", "a.json is broken in line 3", ""), trees)
