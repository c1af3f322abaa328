"""Text from outside, such as names of classes and files, made fit for a terminal or a log.

A name may hold what a terminal obeys: escape sequences that clear the screen or retitle the window, carriage returns
that overwrite a line, line ends that make a line of their own, and marks that reverse the direction of the text.
"""

from __future__ import annotations

import re

_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters (C0, DEL, C1), separators of lines and paragraphs, overrides of the direction of a text, and
surrogates, which in the name of a file stand for bytes that are no UTF-8.

The joiners and direction marks of ordinary writing are not among them.
"""


def printable(text: str) -> str:
    r"""One line of text in which nothing is obeyed: such characters appear as Python's escapes.

    >>> print(printable("caf\u00e9\x1b[2J\n"))
    café\x1b[2J\n
    """
    return _OBEYED.sub(_escape, text)


def printable_lines(text: str) -> str:
    """The same for a text of several lines, whose ends stay."""
    return "\n".join(map(printable, text.split("\n")))


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
