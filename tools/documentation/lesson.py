"""The pictures of the lesson: the program of its page runs, and what it saves becomes the pictures of the page."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

COLOURS = 256
"""A picture of this many colours is less than half as large, and its text stays sharp."""


def python_blocks(page: Path) -> list[str]:
    """Return the Python blocks of a page, in order."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def run_program(page: Path, folder: Path) -> None:
    """Run the Python blocks of a page as one program in a folder."""
    names: dict[str, Any] = {"__name__": "__main__"}
    with _working_in(folder):
        for block in python_blocks(page):
            exec(compile(block, str(page), "exec"), names)


def store_pictures(source: Path, target: Path) -> list[Path]:
    """Write the PNG pictures of one folder into another one with fewer colours; returns the new files."""
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for path in sorted(source.glob("*.png")):
        with Image.open(path) as picture:
            reduced = picture.convert("RGB").quantize(
                COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
            )
        reduced.save(target / path.name, optimize=True)
        written.append(target / path.name)
    return written


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
