"""The parts that make a detector fast, each explained by the docstring of its module."""

from __future__ import annotations

import importlib
from pathlib import Path

import faster_rcnn
from documentation.text import plain

FOLDERS = ("kernels", "acceleration")
OTHERS = ("system.memory", "inference.prefetch")
"""Modules outside those folders that exist for speed alone."""

_PACKAGE = Path(faster_rcnn.__path__[0])


def fast_parts() -> str:
    """Return a section for each module that exists for speed; its docstring argues why, with the measurement."""
    found = [
        f"{folder}.{path.stem}"
        for folder in FOLDERS
        for path in sorted((_PACKAGE / folder).glob("*.py"))
        if path.stem != "__init__"
    ]
    return "\n\n".join(map(_section, [*found, *OTHERS]))


def _section(name: str) -> str:
    """Return the docstring of a module under a heading that links to its source, as a page in ``docs/`` does."""
    path = f"{name.replace('.', '/')}.py"
    text = plain(importlib.import_module(f"faster_rcnn.{name}").__doc__)
    return f"### [`{path}`](../src/faster_rcnn/{path})\n\n{text}"
