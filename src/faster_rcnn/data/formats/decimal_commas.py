"""Numbers with a decimal comma, as programs write them in half of the world's languages."""

from __future__ import annotations

import re
from collections.abc import Iterable

_WITH_COMMA = re.compile(r"-?[0-9]+,[0-9]+")


def decimal_commas(texts: Iterable[str]) -> list[str]:
    """The numbers with a decimal comma among texts.

    Empty where all of them have three digits after the comma: these may be thousands, so they are not changed.
    """
    found = [text for text in texts if "," in text and _WITH_COMMA.fullmatch(text)]
    return [] if all(len(text.partition(",")[2]) == 3 for text in found) else found


def with_point(text: str) -> str:
    """Replace a decimal comma by a point: ``10,5`` becomes ``10.5``; anything else is unchanged."""
    return text.replace(",", ".") if _WITH_COMMA.fullmatch(text) else text


def commas_note(found: list[str]) -> str:
    """A line about numbers with a decimal comma that were read."""
    return f"numbers with a decimal comma: {len(found)}, e.g. {found[0]} is {with_point(found[0])}"
