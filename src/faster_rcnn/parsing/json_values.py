"""JSON that others wrote, taken apart with errors that say where it is wrong."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterable
from typing import Any

from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.values import as_number, cut


class _RepeatedKeyError(ValueError):
    """An object has a key with two values."""


def parsed(where: str, text: str, first_line: int = 1) -> Any:
    """The value that ``text`` holds.

    Raises:
        DatasetError: it is not JSON, of which line and column are named, counted from ``first_line`` (E102).
    """
    text = text.rstrip()  # else the end of a broken file is told as the line after it
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
    """An object, in which a key may not have two values."""
    found = dict(pairs)
    if len(found) != len(pairs):
        for key, value in pairs:
            if found[key] != value:
                raise _RepeatedKeyError(
                    f"an object has the key {key!r} twice, with different values: {shortened(found)}"
                )
    return found


def parsed_lines(where: str, text: str) -> list[tuple[int, Any]]:
    """The values of JSON lines with their line numbers; blank lines are left out."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
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
    numbers = [as_number(number) for number in value] if isinstance(value, list) else []
    if len(numbers) != 4 or None in numbers:
        raise DatasetError(f"{where}: a box must be four finite numbers {order}, not {shortened(value)}", code="E118")
    a, b, c, d = (number for number in numbers if number is not None)
    return a, b, c, d


def finite_score(where: str, value: object) -> float:
    """A score; any finite number, as only the order counts."""
    number = as_number(value)
    if number is None:
        raise DatasetError(f"{where}: 'score' must be a finite number, not {shortened(value)}", code="E118")
    return number


def unknown_values(values: Iterable[object], known: Container[object]) -> list[str]:
    """The different values that are not among the known ones, as they stand in JSON; lists and objects never are."""
    counts = Counter(shortened(value, 200) for value in values if isinstance(value, list | dict) or value not in known)
    return list(counts)


def first_of(names: Iterable[object], most: int = 5) -> str:
    """The first few, for a message."""
    listed = list(names)
    return ", ".join(cut(str(name)) for name in listed[:most]) + (", ..." if len(listed) > most else "")


def shown(value: object, most: int = 80) -> str:
    """A text as it is, anything else as JSON; both cut to a length that fits a message."""
    if type(value) is int:  # as nearly all ids are
        return cut(str(value), most)
    return cut(value, most) if isinstance(value, str) else shortened(value, most)


def shortened(value: object, most: int = 80) -> str:
    """A value as JSON, cut to a length that fits a message."""
    parts: list[str] = []
    for part in json.JSONEncoder(default=str).iterencode(value):  # piece by piece: a value may be as large as its file
        parts.append(cut(part, most))
        if sum(map(len, parts)) > most:
            break
    return cut("".join(parts), most)
