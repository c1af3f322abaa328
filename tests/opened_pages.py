"""Pages in a browser: what they load, print and hide, and how they serve people who use no mouse or no eyes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTHS = (390, 1200)
MAX_BYTES = 5_000_000
WIDE = """() => {
  const width = document.documentElement.clientWidth;
  const clipped = (element) => element.closest(".scroll, .picture") !== null;
  return [...document.body.querySelectorAll("*")]
    .filter((element) => element.getBoundingClientRect().right > width + 0.5 && !clipped(element.parentElement))
    .map((element) => element.outerHTML.slice(0, 80));
}"""
"""Elements that reach out of the page."""


@contextmanager
def quiet_page(
    browser: Browser, address: str, is_outside: Callable[[str], bool], width: int, scheme: Any, **options: Any
) -> Iterator[Page]:
    """The page of an address; fails where it writes to the console, raises an error or asks for anything outside."""
    noise: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
    page = context.new_page()
    page.on("console", lambda message: noise.append(message.text))
    page.on("pageerror", lambda error: noise.append(str(error)))
    page.on("request", lambda request: noise.append(request.url[:60]) if is_outside(request.url) else None)
    page.goto(address)
    yield page
    context.close()
    assert noise == []


def opened(browser: Browser, path: Path, width: int = 1200, scheme: Any = "light") -> AbstractContextManager[Page]:
    """The page of a file, which asks the network for nothing."""
    return quiet_page(browser, path.as_uri(), partial(outside, path=path), width, scheme)


def assert_serves_everyone(browser: Browser, path: Path, width: int, scheme: str) -> None:
    """Assert that a page is quiet, fits its window, has one main heading and no serious fault, and is small enough."""
    with opened(browser, path, width, scheme) as page:
        assert page.evaluate(WIDE) == []
        assert serious_faults(page) == []
        assert page.locator("h1").count() == 1
    assert path.stat().st_size < MAX_BYTES


def outside(url: str, path: Path) -> bool:
    """Whether a request leaves the file."""
    return not url.startswith("data:") and url.partition("#")[0] != path.as_uri()


def serious_faults(page: Page) -> list[str]:
    """What axe-core finds that hinders people: each rule with the first element that breaks it."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="needs: pip install axe-playwright-python"
    )
    violations = axe.Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {each['nodes'][0]['html'][:120]}"
        for each in violations
        if each["impact"] in ("serious", "critical")
    ]
