"""JSON that others wrote, taken apart with errors that say where it is wrong."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Container, Iterable
from typing import Any

from faster_rcnn.errors import DatasetError


def parsed(where: str, text: str, first_line: int = 1) -> Any:
    """The value that ``text`` holds.

    Raises:
        DatasetError: naming line and column, counted from ``first_line``.
    """
    text = text.rstrip()  # else the end of a broken file is told as the line after it
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno + first_line - 1} column {error.colno}"
        cut = "; the text ends there, was the copy interrupted?" if error.pos >= len(text) else ""
        raise DatasetError(f"{where} is not valid JSON at {place}: {error.msg}{cut}", code="E102") from error


def parsed_lines(where: str, text: str) -> list[tuple[int, Any]]:
    """The values of JSON lines with their line numbers; blank lines are left out."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    return [(number, parsed(where, line, number)) for number, line in lines]


def require_keys(where: str, record: object, keys: tuple[str, ...], meaning: str) -> None:
    """Check that ``record`` is an object with these keys; ``meaning`` is what it should be."""
    present = record if isinstance(record, dict) else {}
    missing = [f"'{key}'" for key in keys if key not in present]
    if missing:
        raise DatasetError(
            f"{where} is not {meaning}, it has no {', '.join(missing)}: {shortened(record)}", code="E103"
        )


def four_numbers(where: str, value: object, order: str) -> tuple[float, float, float, float]:
    """A box; ``order`` says how its numbers are meant."""
    if not isinstance(value, list) or len(value) != 4 or not all(_is_finite(number) for number in value):
        raise DatasetError(f"{where}: a box must be four finite numbers {order}, not {shortened(value)}", code="E118")
    a, b, c, d = value
    return float(a), float(b), float(c), float(d)


def finite_score(where: str, value: object) -> float:
    """A score; any finite number, as only the order counts."""
    if not _is_finite(value):
        raise DatasetError(f"{where}: 'score' must be a finite number, not {shortened(value)}", code="E118")
    return float(value)  # type: ignore[arg-type]  # it is a number


def unknown_values(values: Iterable[object], known: Container[object]) -> list[str]:
    """The different values that are not among the known ones, as they stand in JSON; lists and objects never are."""
    counts = Counter(json.dumps(value) for value in values if isinstance(value, list | dict) or value not in known)
    return list(counts)


def first_of(names: Iterable[object], most: int = 5) -> str:
    """The first few, for a message."""
    listed = [str(name) for name in names]
    return ", ".join(listed[:most]) + (", ..." if len(listed) > most else "")


def shortened(value: object, most: int = 80) -> str:
    """A value as JSON, cut to a length that fits a message."""
    text = json.dumps(value)
    return text if len(text) <= most else text[: most - 3] + "..."


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
