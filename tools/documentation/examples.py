"""An extension of griffe, with which mkdocstrings reads the sources: doctests of docstrings become blocks of code."""

from __future__ import annotations

from typing import Any

import griffe

from documentation.text import with_fenced_examples


class Examples(griffe.Extension):
    """Puts the doctests of every docstring into fences."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of an object that was read."""
        if obj.docstring is not None:
            obj.docstring.value = with_fenced_examples(obj.docstring.value)
