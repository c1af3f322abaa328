"""Escaping of names of classes, files and the like for a terminal or a log.

A name may hold characters that a terminal obeys: escape sequences that clear the screen or retitle the window,
carriage returns that overwrite a line, line ends that begin a new line, and marks that reverse the text's direction.
"""

from __future__ import annotations

import re

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters (C0, DEL, C1), separators of lines and paragraphs, overrides of the direction of a text, and
surrogates, by which Python represents bytes of file names that are not UTF-8.

The joiners and direction marks of ordinary writing are not among them.
"""


def printable(text: str) -> str:
    r"""A text as one line without control characters: they appear as Python's escapes.

    >>> print(printable("caf\u00e9\x1b[2J\n"))
    café\x1b[2J\n
    """
    return _CONTROL.sub(_escape, text)


def printable_lines(text: str) -> str:
    """A text of several lines without control characters; its line ends stay."""
    return "\n".join(map(printable, text.split("\n")))


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
