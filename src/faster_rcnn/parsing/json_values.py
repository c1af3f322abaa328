"""Parsing of JSON that other programs wrote, with errors that name the place of a fault."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterable
from typing import Any

from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.values import as_number, cut


class _RepeatedKeyError(ValueError):
    """An object has one key with different values."""


def parsed(where: str, text: str, first_line: int = 1) -> Any:
    """Parse a JSON text; ``where`` names it in messages.

    Raises:
        DatasetError: ``text`` is not JSON; the message names line and column, counted from ``first_line`` (E102).
    """
    text = text.rstrip()  # otherwise the message would name the line after the end of a broken file
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno + first_line - 1} column {error.colno}"
        ends = error.pos >= len(text) or not text.endswith(("}", "]"))
        cut = "; the text ends in the middle of a record, was the copy interrupted?" if ends else ""
        raise DatasetError(f"{where} is not valid JSON at {place}: {error.msg}{cut}", code="E102") from error
    except RecursionError as error:
        raise DatasetError(f"{where} is not read: its lists or objects are nested too deeply", code="E102") from error
    except _RepeatedKeyError as error:
        raise DatasetError(f"{where} is not read: {error}", code="E102") from error
    except ValueError as error:  # Python reads no longer integers
        raise DatasetError(f"{where} is not read: a number has thousands of digits", code="E102") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object of its pairs; a key may not have two different values."""
    found = dict(pairs)
    if len(found) != len(pairs):
        for key, value in pairs:
            if found[key] != value:
                raise _RepeatedKeyError(
                    f"an object has the key {key!r} twice, with different values: {shortened(found)}"
                )
    return found


def parsed_lines(where: str, text: str) -> list[tuple[int, Any]]:
    """Parse JSON Lines to (line number, value); blank lines are left out."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    return [(number, parsed(where, line, number)) for number, line in lines]


def require_keys(where: str, record: object, keys: tuple[str, ...], meaning: str) -> None:
    """Check that ``record`` is an object with these keys; ``meaning`` names it in the message (E103)."""
    present = record if isinstance(record, dict) else {}
    missing = [f"'{key}'" for key in keys if key not in present]
    if missing:
        raise DatasetError(
            f"{where} is not {meaning}, it has no {', '.join(missing)}: {shortened(record)}", code="E103"
        )


def four_numbers(where: str, value: object, order: str) -> tuple[float, float, float, float]:
    """Parse a box: a list of four finite numbers, whose order ``order`` names in the message (E118)."""
    numbers = [as_number(number) for number in value] if isinstance(value, list) else []
    if len(numbers) != 4 or None in numbers:
        raise DatasetError(f"{where}: a box must be four finite numbers {order}, not {shortened(value)}", code="E118")
    a, b, c, d = (number for number in numbers if number is not None)
    return a, b, c, d


def finite_score(where: str, value: object) -> float:
    """Parse a score: any finite number, since only the order of scores matters (E118)."""
    number = as_number(value)
    if number is None:
        raise DatasetError(f"{where}: 'score' must be a finite number, not {shortened(value)}", code="E118")
    return number


def unknown_values(values: Iterable[object], known: Container[object]) -> list[str]:
    """The distinct values that are not in ``known``, as short JSON texts; lists and objects are never known."""
    counts = Counter(shortened(value, 200) for value in values if isinstance(value, list | dict) or value not in known)
    return [cut(value) for value in counts]


def shown(value: object, max_length: int = 80) -> str:
    """A value for a message: text unchanged, anything else as JSON, both cut to ``max_length`` characters."""
    if type(value) is int:  # as nearly all ids are
        return cut(str(value), max_length)
    return cut(value, max_length) if isinstance(value, str) else shortened(value, max_length)


def shortened(value: object, max_length: int = 80) -> str:
    """A value as JSON, cut to ``max_length`` characters."""
    parts: list[str] = []
    for part in json.JSONEncoder(default=str).iterencode(value):  # piece by piece: a value may be as large as its file
        parts.append(cut(part, max_length))
        if sum(map(len, parts)) > max_length:
            break
    return cut("".join(parts), max_length)
