"""Every page in a browser, as wide as a phone and as a desk: nothing is cut off, and no word is torn in a table."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from markupsafe import Markup

import made_pages
from faster_rcnn.reporting.pages import MAX_UNBROKEN, breakable
from faster_rcnn.system.terminal import printable

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAGES = ("benchmark", "comparison", "report")
WIDTHS = (390, 1200)

FAULTS = """() => {
  for (const each of document.querySelectorAll("details")) each.open = true;
  const width = document.documentElement.clientWidth;
  const scrolling = (element) => element.closest(".scroll") !== null;
  const faults = [];
  const whole = document.documentElement.scrollWidth;
  if (whole > width) faults.push(`the page is ${whole} wide`);
  for (const element of document.body.querySelectorAll("*")) {
    const box = element.getBoundingClientRect();
    const outside = box.width > 0 && (box.right > width + 0.5 || box.left < -0.5);
    if (outside && !scrolling(element.parentElement)) faults.push(`${element.tagName} ends at ${box.right}`);
  }
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  while (texts.nextNode()) {
    const node = texts.currentNode;
    if (!node.parentElement.closest("td, th")) continue;
    for (const word of node.data.matchAll(/[^\\s-]+-?/g)) {
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      const lines = new Set(Array.from(range.getClientRects(), (each) => Math.round(each.top)));
      if (lines.size > 1) faults.push(`torn: ${word[0]}`);
    }
  }
  return faults;
}"""
"""What does not fit: elements that reach out of the page, and words in tables that are on more than one line."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {path.stem: path for path in made_pages.write_pages(tmp_path_factory.mktemp("pages"))}


def faults(browser: Browser, address: str | None, width: int, html: str | None = None) -> list[Any]:
    page = browser.new_page(viewport={"width": width, "height": 800})
    if address is not None:
        page.goto(address)
    else:
        page.set_content(html or "")
    found: list[Any] = page.evaluate(FAULTS)
    page.close()
    return found


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_window_and_breaks_no_word(
    browser: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    assert faults(browser, pages[name].as_uri(), width) == []


def test_a_page_that_does_not_fit_is_detected(browser: Browser) -> None:
    cell = "<td style='overflow-wrap: anywhere; width: 20px; max-width: 20px'>proposals</td>"
    html = f"<table><tr>{cell}</tr></table><p style='width: 600px'>wide</p>"
    found = faults(browser, None, 390, html)
    assert "torn: proposals" in found
    assert any(each.startswith("the page is ") for each in found)
    assert any(each.startswith("P ends at ") for each in found)


class Elements(HTMLParser):
    """What a page consists of for a browser."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.texts += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_on_every_page_the_names_of_files_and_classes_are_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "</td></script><script>alert('1')</script><i \"onerror=\"x\u202e\x1b-->"
    monkeypatch.setattr(made_pages, "FOLDER", name)
    monkeypatch.setattr(made_pages, "CLASSES", (name,))
    for path in made_pages.write_pages(tmp_path):
        html = path.read_text(encoding="utf-8")
        found = Elements(html)
        assert not found.tags & {"script", "iframe", "object"}
        assert not [each for each in found.attributes if each.startswith("on")]
        assert "<script>alert('1')</script>" in "".join(found.texts)
        assert not {each for each in html if printable(each) != each} - {"\n"}


def test_only_long_words_may_be_broken_and_markup_is_escaped() -> None:
    assert breakable("post-processing takes 12 ms") == "post-processing takes 12 ms"
    assert breakable("rpn.proposals_after_nms") == "rpn.<wbr>proposals_<wbr>after_<wbr>nms"
    assert breakable("x" * 40) == "<wbr>".join(["x" * MAX_UNBROKEN, "x" * MAX_UNBROKEN, "x" * 4])
    assert breakable("<b> & <script>alert('1')</script>") == (
        # 18 letters, then 2 up to the sign, then the rest.
        "&lt;b&gt; &amp; &lt;script&gt;alert(&#39;1&#39;)<wbr>&lt;/<wbr>script&gt;"
    )
    assert isinstance(breakable(7), Markup)
