"""The pages of the documentation, and their tables, for tests of what they state."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
READING = DOCS / "reading-the-code.md"
BENCHMARKS = ROOT / "benchmarks" / "README.md"
"""Scripts with flags of their own, which are none of the command's."""
PAGES = (README, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(DOCS.rglob("*.md")))

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`]+)`")


def rows(page: Path, heading: str) -> list[list[str]]:
    """Cells of every line of the tables between a heading and the next one, without the head of each table."""
    section = page.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = section.splitlines()
    heads = {index - 1 for index, line in enumerate(lines) if line.startswith("|---")}
    body = [line for index, line in enumerate(lines) if line.startswith("|") and index not in heads]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body if not line.startswith("|---")]


def code_of(cell: str) -> str:
    """The first piece of code of a cell."""
    [found, *_] = CODE.findall(cell)
    return str(found)


def linked(page: Path, cell: str) -> list[Path]:
    """Files that a cell links to."""
    return [page.parent / target for target in LINK.findall(cell)]
