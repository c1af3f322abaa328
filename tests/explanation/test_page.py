from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from explained_images import Kind, tiny_explained
from faster_rcnn.explanation.causes.explained import Explained
from faster_rcnn.explanation.embedding import script_text
from faster_rcnn.explanation.occlusion import occlusion_map
from faster_rcnn.explanation.page import page_of, save_page
from faster_rcnn.inference.tiles import Tiling
from faster_rcnn.system.terminal import printable
from opened_pages import MAX_BYTES, WIDE, WIDTHS, assert_serves_everyone, opened
from tiny import truth_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TRUTH = truth_of([[4, 6, 124, 90], [70, 20, 120, 90], [0, 0, 9, 9]], [1, 0, 2], [False, False, True])
EVIL = "</script><script>alert('1')</script><i \"onerror=\"x\u202e\x1b-->"


@pytest.fixture(scope="module")
def explained() -> Explained:
    return tiny_explained(TRUTH)


@pytest.fixture(scope="module")
def path(explained: Explained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    advice = [f"Advice number {index}." for index in range(len(explained.verdicts))]
    return save_page(explained, tmp_path_factory.mktemp("page") / "page.html", "runs/cells", advice)


def data_of(html: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_quiet_fits_its_window_and_has_no_serious_fault(
    browser: Browser, path: Path, width: int, scheme: str
) -> None:
    assert_serves_everyone(browser, path, width, scheme)


def test_the_first_box_is_chosen_and_its_life_is_that_of_the_detection(
    browser: Browser, path: Path, explained: Explained
) -> None:
    life = explained.life(0)
    with opened(browser, path) as page:
        rows = page.locator("#steps-body tr")
        assert [rows.nth(index).locator("th").inner_text() for index in range(3)] == ["anchor", "proposal", "output"]
        assert f"objectness {life.objectness:.3f}" in rows.nth(0).inner_text()
        assert rows.nth(2).locator("td").first.inner_text() == f"score {float(explained.detections.scores[0]):.3f}"
        assert chosen(page) == 0
        largest = occlusion_map(explained.recording, 0).flatten()
        place = int(largest.argmax())
        assert f"row {place // 7 + 1}, column {place % 7 + 1}" in page.locator("#falls-text").inner_text()
        assert page.locator("#falls rect title").count() == 49


def chosen(page: Page) -> int:
    """The place in the list of the chosen box."""
    states = page.locator("#list button").evaluate_all("all => all.map((each) => each.getAttribute('aria-pressed'))")
    assert states.count("true") == 1
    place: int = states.index("true")
    return place


def test_every_control_works_by_keyboard(browser: Browser, path: Path, explained: Explained) -> None:
    detections = len(explained.detections)
    with opened(browser, path) as page:
        page.locator("#list button").first.focus()
        page.keyboard.press("ArrowDown")
        assert chosen(page) == 1
        page.keyboard.press("End")
        last = detections + 2  # the truths come after the detections; the proposals are not shown yet
        assert chosen(page) == last
        assert "ignored" in page.locator("#notes").inner_text()
        page.keyboard.press("Home")
        assert chosen(page) == 0
        page.locator("input[data-kind=detection]").focus()
        page.keyboard.press("Space")
        assert chosen(page) == detections  # the first truth
        assert "Advice number" in page.locator("#notes").inner_text() or "Found" in page.locator("#notes").inner_text()
        page.locator("input[data-kind=proposal]").focus()
        page.keyboard.press("Space")
        assert page.locator("#list li:visible").count() == 3 + min(50, len(explained.recording.whole.proposals.scores))
        tabs = page.evaluate(
            "() => [...document.querySelectorAll('#list button')].filter((e) => e.tabIndex === 0).length"
        )
        assert tabs == 1


def test_a_click_in_the_picture_chooses_the_smallest_box_there(browser: Browser, path: Path) -> None:
    with opened(browser, path) as page:
        data = page.evaluate("() => JSON.parse(document.getElementById('data').textContent)")
        shown = [box for box in data["boxes"] if box["kind"] != "proposal"]
        smallest = min(range(len(shown)), key=lambda index: area(shown[index]["box"]))
        x1, y1, x2, y2 = shown[smallest]["box"]
        frame = page.locator("#picture").bounding_box()
        assert frame is not None
        scale = frame["width"] / data["width"]
        page.locator("#picture").scroll_into_view_if_needed()
        page.locator("#picture").click(position={"x": scale * (x1 + x2) / 2, "y": scale * (y1 + y2) / 2})
        assert chosen(page) == smallest


def area(box: list[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


@pytest.mark.parametrize(
    ("kind", "names"), [("fast-rcnn", ("cat", "dog", "hen")), ("rpn", ("object",)), ("faster-rcnn", ("a", "b", "c"))]
)
def test_detectors_of_one_stage_and_images_in_tiles_have_pages(
    browser: Browser, tmp_path: Path, kind: Kind, names: tuple[str, ...]
) -> None:
    tiling = Tiling(64, 0.2) if kind == "faster-rcnn" else None
    one = tiny_explained(None, kind=kind, names=names, conf=0.36, tiling=tiling)
    with opened(browser, save_page(one, tmp_path / "page.html"), 390) as page:
        assert page.evaluate(WIDE) == []
        assert page.locator(".absent").count() > 0
        assert chosen(page) == 0
        assert ("tiles" in page.locator("main").inner_text()) == (tiling is not None)


def test_without_detections_the_page_follows_the_best_proposal(browser: Browser, tmp_path: Path) -> None:
    one = tiny_explained(conf=1.0)
    with opened(browser, save_page(one, tmp_path / "page.html")) as page:
        assert "the best proposal is followed" in page.locator("main").inner_text()
        assert page.locator("#list li:visible").count() == 50
        assert "rank 1 among 50 proposals" in page.locator("#notes").inner_text().lower()
        assert page.locator("#occlusion").is_hidden()
        assert page.locator("#iou-head").is_hidden()


def test_names_of_classes_and_files_are_text(browser: Browser, tmp_path: Path) -> None:
    one = tiny_explained(truth_of([[4, 6, 124, 90]]), names=(EVIL, "dog", "hen"))
    html = page_of(one, EVIL, [EVIL])
    assert not {each for each in set(html) if printable(each) != each} - {"\n"}
    assert html.count("<script") == 2
    assert "<script>alert" not in html
    path = tmp_path / "page.html"
    path.write_text(html, encoding="utf-8")
    with opened(browser, path) as page:
        text = page.locator("body").inner_text()
        assert "<script>alert('1')</script>" in text
        assert "\\u202e" in text
        assert page.locator("[onerror]").count() == 0


def test_the_script_is_short_and_plain() -> None:
    script = script_text("explanation.js")
    assert len(script.splitlines()) <= 150
    for forbidden in ("innerHTML", "fetch(", "XMLHttpRequest", "import ", "eval(", "http:", "https:"):
        assert forbidden not in script


def test_numbers_of_the_page_are_those_of_the_explained_image(path: Path, explained: Explained) -> None:
    data = data_of(path.read_text(encoding="utf-8"))
    assert (data["width"], data["height"]) == (128, 96)
    found = [box for box in data["boxes"] if box["kind"] == "detection"]
    torch.testing.assert_close(
        torch.tensor([box["box"] for box in found]), explained.detections.boxes, rtol=0, atol=0.0501
    )
    assert [box["score"] for box in found] == [round(score, 4) for score in explained.detections.scores.tolist()]
    for box in found:
        assert box["falls"] == [] or len(box["falls"]) == len(box["falls"][0]) == 7


def test_a_large_image_is_reduced(tmp_path: Path) -> None:
    large = tiny_explained(size=(1500, 2000))
    html = page_of(large)
    assert len(html) < MAX_BYTES
    data = data_of(html)
    assert (data["width"], data["height"]) == (2000, 1500)


def test_a_trace_writes_its_page(tmp_path: Path) -> None:
    trace = tiny_explained(conf=1.0)
    path = trace.save(tmp_path / "one.html", "runs/cells")
    assert path.read_text(encoding="utf-8") == trace.page("runs/cells")
    assert "runs/cells" in trace.page("runs/cells")
