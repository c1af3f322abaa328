"""Words that the project replaced do not come back: in the package, its pages of HTML, and the documentation."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pages_of_documentation import BENCHMARKS, PAGES, ROOT

REPLACED = {
    "duplicates": r"\bdoubles\b",
    "integers, or int8": r"\bwhole numbers\b",
    "int8, or 8-bit": r"\b8 bits\b",
    "iou_threshold": r"\bmost_iou\b",
    "external proposals": r"(?<![.`])\boutside proposals\b|\bproposals from outside\b",
    "channels-last memory format": r"\blies? channels last\b",
}
"""Patterns of words, by what stands in their place; ``detector.outside_proposals`` is a setting and stays."""

SOURCES = sorted(path for path in (ROOT / "src").rglob("*") if path.suffix in (".py", ".jinja"))
TOOLS = sorted((ROOT / "tools").rglob("*.py"))


def replaced_words(text: str) -> Iterator[str]:
    """Every replaced word with its line, also where it is broken over two lines, and what to write."""
    for better, pattern in REPLACED.items():
        for match in re.finditer(pattern.replace(" ", r"\s+(?:#\s*)?"), text, re.IGNORECASE):
            words = " ".join(match[0].split())
            yield f"line {text[: match.start()].count(chr(10)) + 1}: '{words}', write {better}"


def docstrings_without_a_subject(tree: ast.AST) -> Iterator[str]:
    """Every docstring, also of an attribute, that begins with ``Of``, so that it leans on what stands above it."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))) if re.match(r"\s*Of\b", text):
                yield f"line {node.lineno}: '{' '.join(text.split()[:5])} ...'"


@pytest.mark.parametrize("path", [*SOURCES, *TOOLS, *PAGES, BENCHMARKS], ids=lambda path: str(path.relative_to(ROOT)))
def test_words_are_those_of_the_field(path: Path) -> None:
    assert list(replaced_words(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", [*SOURCES, *TOOLS], ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_stand_by_themselves(path: Path) -> None:
    if path.suffix == ".py":
        assert list(docstrings_without_a_subject(ast.parse(path.read_text(encoding="utf-8")))) == []


def test_the_rules_can_fail() -> None:
    text = "NMS drops doubles.\n# Proposals from\n# outside lie channels last in 8 bits, detector.outside_proposals."
    assert list(replaced_words(text)) == [
        "line 1: 'doubles', write duplicates",
        "line 3: '8 bits', write int8, or 8-bit",
        "line 2: 'Proposals from # outside', write external proposals",
        "line 3: 'lie channels last', write channels-last memory format",
    ]
    tree = ast.parse('class A:\n    """A thing."""\n\n    side: int\n    """Of the box."""\n')
    assert list(docstrings_without_a_subject(tree)) == ["line 5: 'Of the box. ...'"]
