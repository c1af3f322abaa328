"""Small pieces of Markdown that the generated pages share."""

from __future__ import annotations

import inspect
import re
from typing import Any

from faster_rcnn.settings.schema import Config


def values_of(config: Config) -> dict[str, Any]:
    """Return every setting of a configuration by its key, without the name of the preset."""
    dumped = config.model_dump(mode="json")
    return {
        f"{group}.{name}": value
        for group, section in dumped.items()
        if isinstance(section, dict)
        for name, value in section.items()
    }


def as_code(value: Any) -> str:
    """Return a value as code, as YAML writes it."""
    words = {True: "true", False: "false", None: "null"}
    text = words[value] if value is None or isinstance(value, bool) else str(value)
    return f"`{text}`"


def plain(text: str | None) -> str:
    """Return the text of a docstring without its indentation, with code as Markdown has it."""
    return with_fenced_examples(inspect.cleandoc(text or "").replace("``", "`"))


def with_fenced_examples(text: str) -> str:
    """Return the text of a docstring with each doctest in a fence, since Markdown takes ``>>>`` for a quotation."""
    parts = []
    for paragraph in re.split(r"(\n[ ]*\n)", text):
        first, mark, _ = paragraph.partition(">>> ")
        if mark and not first.strip():
            indent = first.replace("\n", "")
            code = re.sub(r"[ ]*# doctest: .*", "", paragraph.strip("\n"))
            parts.append(f"{indent}```pycon\n{code}\n{indent}```")
        else:
            parts.append(paragraph)
    return "".join(parts)


def escaped(text: str) -> str:
    """Return plain text such that Markdown shows every character as it is; options and settings become code."""
    safe = re.sub(r"([\\`*_<>\[\]|])", r"\\\1", text)
    return re.sub(r"(?<![\w-])--[a-z][a-z-]*", lambda match: f"`{match[0]}`", safe)
