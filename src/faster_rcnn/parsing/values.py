"""Values of annotation files by their meaning: ids, numbers and flags, whether written as numbers or as text."""

from __future__ import annotations

import math
import re

_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_MOST_DIGITS = 4000
"""Python refuses to read longer integers."""
_HALF = re.compile("[\ud800-\udfff]")
_NO = frozenset(("", "0", "0.0", "n", "no", "f", "false", "off", "none", "null", "unspecified"))
_YES = frozenset(("1", "1.0", "y", "yes", "t", "true", "on"))


def as_id(value: object) -> int | str | None:
    """An id, of which only equality counts: an integer of any size, or text; none for anything else.

    ``7``, ``7.0`` and ``"7"`` are the same id. Text that is not an integer as one writes it, such as ``"007"`` or a
    hash, stays text.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        text = value.strip()
        return int(text) if len(text) < _MOST_DIGITS and _INTEGER.fullmatch(text) else text or None
    return value if isinstance(value, int) else None


def as_integer(value: object) -> int | None:
    """An integer, or text of one; none for anything else."""
    number = as_id(value)
    return number if isinstance(number, int) else None


def as_number(value: object) -> float | None:
    """A finite number, or text of one with a decimal point; none for anything else."""
    if isinstance(value, str):
        value = float(value) if _NUMBER.fullmatch(value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def is_text(text: str) -> bool:
    """Whether a text has whole characters alone: half of one that takes 32 bits cannot be written anywhere."""
    return text.isascii() or _HALF.search(text) is None


def cut(text: str, most: int = 80) -> str:
    """A text, shortened where it is longer than a message should be."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def as_flag(value: object) -> bool | None:
    """Yes or no by its meaning: ``"0"``, ``"False"``, ``0.0`` and null are no; none for what is neither."""
    if value is None or isinstance(value, int):
        return None if value not in (None, 0, 1) else bool(value)
    if isinstance(value, str):
        word = value.strip().lower()
        return True if word in _YES else False if word in _NO else None
    number = as_number(value)
    return bool(number) if number in (0.0, 1.0) else None
