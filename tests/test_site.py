"""The documentation site: generated pages hold all that the code has, and the built site works without a network."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

import faster_rcnn
from documentation import reference
from documentation.generators import GENERATORS
from documentation.presets import gflops, precisions, presets
from documentation.staging import MARKER, DocumentationError, Site, filled, stage
from documentation.text import as_code, escaped, with_fenced_examples
from faster_rcnn.cli.app import app
from faster_rcnn.error_codes import CODES
from faster_rcnn.settings.presets import PRESETS
from faster_rcnn.settings.resolve import all_keys
from faster_rcnn.system.devices import AUTO
from made_details import made_metrics
from pages_of_documentation import DOCS, PAGES, ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTHS = (1200, 390)
SEARCHES = {
    "nms_iou": "reference/settings.html",
    "E109": "reference/errors.html",
    "Detector.predict": "reference/python.html",
}
"""What a reader may look for, and the page that must be found."""

FOUND = """() => {
  const found = [];
  const walk = (root) => {
    for (const element of root.querySelectorAll("*")) {
      if (element.shadowRoot) walk(element.shadowRoot);
      if (element.tagName === "A" && /[?&]h=./.test(element.href)) found.push(element.href);
    }
  };
  walk(document);
  return found;
}"""
"""Addresses of the results of a search, which the theme draws in shadow roots."""


def test_every_marker_has_a_generator_and_every_generator_a_marker() -> None:
    markers = [name for page in PAGES for name in MARKER.findall(page.read_text(encoding="utf-8"))]
    assert sorted(markers) == sorted(GENERATORS)
    with pytest.raises(DocumentationError, match="nothing generates 'weather'"):
        filled("a.md", "<!-- generated: weather -->\n", GENERATORS)
    assert filled("a.md", "A.\n\n<!-- repository only -->\nB\nC\n\nD.\n", {}) == "A.\n\nD.\n"


def test_commands_have_all_their_options() -> None:
    _, *parts = re.split(r"^## `faster-rcnn (\S+)`$", reference.commands(), flags=re.MULTILINE)
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    for name in (each for each in app if not each.startswith("-")):
        options = [each for argument in app[name].assemble_argument_collection() for each in argument.names]
        assert [each for each in options if each.startswith("--") and each not in sections[name]] == []


def test_settings_have_a_heading_each() -> None:
    text = reference.settings()
    keys = [key for key in all_keys() if "." in key]
    assert re.findall(r"^### `([a-z_0-9.]+)` \{", text, re.MULTILINE) == keys
    # The preset small has 0.7 as every preset; 0.5 is that of all but the paper's.
    assert "Value: `0.7` in every preset." in text.split("### `rpn.nms_iou`")[1].split("###")[0]
    section = text.split("### `roi.nms_iou`")[1].split("###")[0]
    assert "Allowed: a number, above 0 and at most 1." in section
    assert "`0.3` in `paper`" in section


def test_errors_have_a_heading_each() -> None:
    text = reference.error_codes()
    assert re.findall(r"\{ #(E\d+) \}", text) == [code.code for code in CODES]


def test_presets_and_precisions_have_a_row_each() -> None:
    text = presets()
    assert re.findall(r"^\| (?:\[)?`([a-z0-9-]+)`", text.split("\n\n")[0], re.MULTILINE) == list(PRESETS)
    small = PRESETS["small"]()
    assert f"| {small.image.short_side}, {small.image.long_side} | {small.rpn.proposals_after_nms} |" in text
    assert precisions().count("\n") == len(AUTO) + 1


def test_operations_are_counted_by_hand() -> None:
    # One level of 16 channels of a tiny body is too small to show; the paper's head is not: fc6 of 512 x 7 x 7 inputs
    # and 4096 outputs, fc7 of 4096 x 4096, for 300 proposals and at two operations a weight, is 71.7 of its GFLOPs.
    head = 2 * 300 * (512 * 7 * 7 * 4096 + 4096 * 4096) / 1e9
    fewer = PRESETS["paper"]()
    fewer = fewer.model_copy(update={"rpn": fewer.rpn.model_copy(update={"proposals_after_nms": 1})})
    assert gflops(PRESETS["paper"]()) - gflops(fewer) == pytest.approx(head * 299 / 300, rel=1e-2)


def test_python_names_are_the_public_ones() -> None:
    text = reference.python_names()
    assert [name for name in faster_rcnn.__all__ if name != "__version__" and f".{name}\n" not in f"{text}\n"] == []


def test_text_of_error_codes_stays_as_it_is() -> None:
    assert escaped("a*b [x] <y> --set data.train=FILE") == r"a\*b \[x\] \<y\> `--set` data.train=FILE"
    assert as_code(True) == "`true`"
    assert as_code(None) == "`null`"
    assert as_code(0) == "`0`"


def test_doctests_become_blocks_of_code() -> None:
    text = "Adds.\n\n    >>> add(1, 2)  # doctest: +SKIP\n    3\n\nIt >>> is fast."
    assert with_fenced_examples(text) == "Adds.\n\n    ```pycon\n    >>> add(1, 2)\n    3\n    ```\n\nIt >>> is fast."


def test_arguments_of_a_decorated_method_are_those_that_callers_give() -> None:
    griffe = pytest.importorskip("griffe")
    from documentation.examples import Arguments

    found = griffe.load("faster_rcnn.detector", search_paths=[ROOT / "src"], extensions=griffe.Extensions(Arguments()))[
        "Detector.train"
    ].parameters
    assert [each.name for each in found] == list(inspect.signature(faster_rcnn.Detector.train).parameters)
    assert (found["out"].annotation, found["out"].default) == ("str | Path | None", "None")
    assert found["epochs"].annotation == 'int | Literal["auto"] | None'


def test_json_examples_have_the_keys_of_the_code() -> None:
    found, frame, measured = map(
        json.loads, re.findall(r"^```json\n(.*?)^```", (DOCS / "reference" / "files.md").read_text(), re.M | re.S)
    )
    complete = made_metrics().to_json("test")
    assert list(measured) == list(complete)
    assert list(measured["per_class"]["light"]) == list(complete["per_class"]["cow"])
    assert list(found) == ["image", "width", "height", "detections"]
    assert list(frame) == ["film", "frame", "time", "width", "height", "detections"]


def test_links_out_of_the_pages_lead_to_pages_of_the_site(tmp_path: Path) -> None:
    (tmp_path / "docs" / "how-to").mkdir(parents=True)
    (tmp_path / "src" / "faster_rcnn" / "rpn").mkdir(parents=True)
    (tmp_path / "src" / "faster_rcnn" / "rpn" / "anchors.py").write_text("SIZE = 1\n")
    site = Site(
        tmp_path, {"docs/how-to/a.md": "how-to/a.md", "docs/b.md": "b.md", "SECURITY.md": "project/security.md"}
    )
    text = "[b](../b.md#c) [s](../../SECURITY.md) [r](../../src/faster_rcnn/rpn/anchors.py) [w](https://w.org) [h](#h)"
    assert site.rewritten("docs/how-to/a.md", text) == (
        "[b](../b.md#c) [s](../project/security.md) [r](../source/rpn/anchors.py.md) [w](https://w.org) [h](#h)"
    )
    assert site.sources == {"src/faster_rcnn/rpn/anchors.py": "source/rpn/anchors.py.md"}
    assert site.rewritten("docs/b.md", "```sh\nsee [x](y)\n```\n") == "```sh\nsee [x](y)\n```\n"
    with pytest.raises(DocumentationError, match=r"docs/b.md: the link 'gone.md' leads to no file"):
        site.rewritten("docs/b.md", "[x](gone.md)")


def test_linked_sources_become_pages_that_the_search_leaves_out(tmp_path: Path) -> None:
    stage(ROOT, tmp_path, dict.fromkeys(GENERATORS, lambda: "generated"))
    page = (tmp_path / "source" / "rpn" / "anchors.py.md").read_text(encoding="utf-8")
    assert page.startswith("---\nsearch:\n  exclude: true\n---\n")
    assert (ROOT / "src" / "faster_rcnn" / "rpn" / "anchors.py").read_text(encoding="utf-8").rstrip() in page
    assert not (tmp_path / "zensical.toml").exists()


def test_the_citation_names_the_paper_and_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == faster_rcnn.__version__
    assert [each["family-names"] for each in citation["preferred-citation"]["authors"]] == [
        "Ren",
        "He",
        "Girshick",
        "Sun",
    ]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site; the strict build fails at any link or anchor that leads nowhere."""
    if find_spec("zensical") is None or find_spec("mkdocstrings") is None:
        pytest.skip("needs zensical and mkdocstrings: pip install 'faster-rcnn[docs]'")
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "make_docs.py"), "--out", str(out)],
        capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return out / "site"


@pytest.fixture
def complaints() -> list[str]:
    """What a page did that it must not: messages on the console, faults, requests to other places than its folder."""
    return []


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest, browser: Browser, complaints: list[str]) -> Iterator[Page]:
    """An empty page as wide as a desk or a phone, which notes its complaints."""
    opened = browser.new_page(viewport={"width": request.param, "height": 900})
    opened.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on(
        "request",
        lambda asked: (
            None if asked.url.startswith(("file:", "data:", "about:", "blob:")) else complaints.append(asked.url)
        ),
    )
    yield opened
    opened.close()


@pytest.mark.xdist_group("site")
def test_pages_fit_and_stay_on_this_machine(site: Path, page: Page, complaints: list[str]) -> None:
    too_wide = []
    for path in sorted(site.rglob("*.html")):
        if path.name == "404.html" or "source" in path.relative_to(site).parts:
            continue
        page.goto(path.as_uri())
        too_wide += [path] if page.evaluate("document.documentElement.scrollWidth > innerWidth") else []
    assert too_wide == []
    assert complaints == []


@pytest.mark.xdist_group("site")
@pytest.mark.parametrize("words", SEARCHES)
def test_the_search_finds(words: str, site: Path, page: Page, complaints: list[str]) -> None:
    page.goto((site / "index.html").as_uri())
    page.wait_for_timeout(300)
    page.keyboard.press("Control+k")
    page.wait_for_timeout(500)
    page.keyboard.type(words, delay=30)
    page.wait_for_function(f"({FOUND})().length > 0", timeout=20_000)
    page.wait_for_timeout(300)
    assert SEARCHES[words] in page.evaluate(FOUND)[0]
    assert complaints == []


@pytest.mark.xdist_group("site")
def test_pages_name_no_other_server_for_scripts_styles_and_fonts(site: Path) -> None:
    loaded = re.compile(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"(https?:[^\"]+)\"")
    assert {
        found for path in site.rglob("*.html") for found in loaded.findall(path.read_text(encoding="utf-8"))
    } == set()
