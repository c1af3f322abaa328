"""The meaning of values in annotation files: ids, numbers and flags, written as numbers or as text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_MAX_DIGITS = 4000
"""Python refuses to read integers of more than 4,300 digits."""
_MAX_ITEM = 300
"""Characters of one item of a list in a message: long enough for whole paths."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_NO = frozenset(("", "0", "0.0", "n", "no", "f", "false", "off", "none", "null", "unspecified"))
_YES = frozenset(("1", "1.0", "y", "yes", "t", "true", "on"))


def as_id(value: object) -> int | str | None:
    """An id (an integer of any size, or text), of which only equality matters; ``None`` for anything else.

    ``7``, ``7.0`` and ``"7"`` are the same id. Text that is not the usual spelling of an integer, such as ``"007"`` or
    a hash, stays text.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        text = value.strip()
        return int(text) if len(text) < _MAX_DIGITS and _INTEGER.fullmatch(text) else text or None
    return value if isinstance(value, int) else None


def as_integer(value: object) -> int | None:
    """The integer that a number or a text is; ``None`` for anything else."""
    number = as_id(value)
    return number if isinstance(number, int) else None


def as_number(value: object) -> float | None:
    """The finite number that a number, or a text with a decimal point, is; ``None`` for anything else."""
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
    """Whether a text can be encoded: it holds no surrogate, which is half of a character."""
    return text.isascii() or _SURROGATE.search(text) is None


def cut(text: str, max_length: int = 80) -> str:
    """A text, shortened where it has more than ``max_length`` characters."""
    return text if len(text) <= max_length else f"{text[: max_length - 3]}..."


def first_of(items: Iterable[object], count: int = 5) -> str:
    """The first few items in one line, each cut to a length that fits a message: ``a, b, c and 4 more``."""
    listed = list(items)
    rest = len(listed) - count
    shown = ", ".join(cut(str(item), _MAX_ITEM) for item in listed[:count])
    return shown + (f" and {rest} more" if rest > 0 else "")


def as_flag(value: object) -> bool | None:
    """A flag by its meaning: ``"0"``, ``"False"``, ``0.0`` and null are no; ``None`` where it is neither yes nor no."""
    if value is None or isinstance(value, int):
        return None if value not in (None, 0, 1) else bool(value)
    if isinstance(value, str):
        word = value.strip().lower()
        return True if word in _YES else False if word in _NO else None
    number = as_number(value)
    return bool(number) if number in (0.0, 1.0) else None
