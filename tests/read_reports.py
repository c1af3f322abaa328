"""Reports of runs as a reader gets them, and runs that a signal ends."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "img", "br", "wbr", "line", "polyline"}


class WellFormed(HTMLParser):
    """Finds tags that are not closed in their order, and anything that would be fetched or run."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.found += [f"<{tag}>"] if tag in ("script", "link", "iframe", "object") else []
        for name, value in attrs:
            fetched = name in ("src", "href") and not (value or "").startswith("data:")
            self.found += [f"{name}={value}"] if fetched or name.startswith("on") else []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and self.open.pop() != tag:
            self.found.append(f"</{tag}>")

    @staticmethod
    def faults(html: str) -> list[str]:
        parser = WellFormed()
        parser.feed(html)
        parser.close()
        return parser.found + parser.open


def text_of(html: str) -> str:
    """The text of a page, without the style sheet."""
    body = html.split("</style>")[1].replace("<wbr>", "")
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def stopped_after(asked: int) -> Callable[[], Any]:
    """A signal that is there at the question of that number, of which there is one after each step and each image."""

    @contextmanager
    def signals() -> Iterator[Callable[[], int]]:
        before = iter([0] * (asked - 1))
        yield lambda: next(before, signal.SIGINT)

    return signals
