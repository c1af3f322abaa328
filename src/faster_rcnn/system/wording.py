"""Numbers in messages."""

from __future__ import annotations


def count_of(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun in the singular or plural.

    >>> count_of(1, "image"), count_of(2, "image"), count_of(0, "class", "classes")
    ('1 image', '2 images', '0 classes')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"
