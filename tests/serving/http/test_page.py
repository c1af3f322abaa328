"""The page at ``/`` in a browser: what it draws is what ``predict`` finds, and everyone can use it."""

from __future__ import annotations

import base64
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from faster_rcnn.detector import Detector
from faster_rcnn.serving.http.options import Limits, ServeOptions
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.thresholds import OperatingPoint, Thresholds
from files import loaded_model
from opened_pages import WIDE, WIDTHS, quiet_page, serious_faults
from served import Served, png, served

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CLASSES = ClassMap(
    ("cat</script><b>'\"", "dog", "a class with a name that is as long as names of classes get"), (1, 5, 7)
)
CONTENT = png(160, 240)
PHOTO = {"name": "it's a photo.png", "mimeType": "image/png", "buffer": CONTENT}
DROP = """([name, type, text]) => {
  const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0)), data = new DataTransfer();
  data.items.add(new File([bytes], name, { type }));
  return data;
}"""
"""Makes what a browser passes for a file that is dropped or pasted."""


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    options = ServeOptions("runs/cells", conf=0.3, precision="float32", limits=Limits(megabytes=1))
    with served(options, loaded_model(CLASSES)) as running:
        yield running


@pytest.fixture(scope="module")
def detections() -> list[dict[str, Any]]:
    """What ``predict`` finds in the photo from the lowest score of the page on."""
    result = Detector(loaded_model(CLASSES), precision="float32").predict(CONTENT, conf=0.05)
    found: list[dict[str, Any]] = result.to_json()["detections"]
    return found


def page_of(
    browser: Browser, server: Served, width: int = 1200, scheme: Any = "light", **options: Any
) -> AbstractContextManager[Page]:
    """The page, which asks no other server for anything."""
    own = (server.url, "data:", f"blob:{server.url}")
    return quiet_page(browser, server.url, lambda address: not address.startswith(own), width, scheme, **options)


def choose_photo(page: Page) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose an image").click()
    chooser.value.set_files(PHOTO)  # type: ignore[arg-type]
    page.locator("#list button").first.wait_for()


def set_threshold(page: Page, value: float) -> None:
    page.locator("#threshold").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }", value
    )


def drawn(page: Page) -> list[list[float]]:
    """Corners of the boxes in the picture, in pixels of the image."""
    return page.locator("#boxes rect.line").evaluate_all(  # type: ignore[no-any-return]
        "all => all.map((each) => { const [x, y, w, h] = ['x', 'y', 'width', 'height']"
        ".map((name) => Number(each.getAttribute(name))); return [x, y, x + w, y + h]; })"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_its_window_and_has_no_serious_fault(
    browser: Browser, server: Served, width: int, scheme: str
) -> None:
    with page_of(browser, server, width, scheme) as page:
        for _ in range(2):  # without an image, and with one
            assert page.evaluate(WIDE) == []
            assert serious_faults(page) == []
            assert page.locator("h1").count() == 1
            choose_photo(page)
            if folder := os.environ.get("FASTER_RCNN_SCREENSHOTS"):
                page.screenshot(path=Path(folder) / f"serve-{width}-{scheme}.png", full_page=True)


@pytest.mark.parametrize("width", WIDTHS)
def test_boxes_are_drawn_where_predict_finds_them(
    browser: Browser, server: Served, detections: list[dict[str, Any]], width: int
) -> None:
    expected = [each["box"] for each in detections if each["score"] >= 0.3]
    with page_of(browser, server, width) as page:
        choose_photo(page)
        assert len(expected) > 3
        assert np.array(sorted(drawn(page))) == pytest.approx(np.array(sorted(expected)))
        texts = page.locator("#list .score").all_inner_texts()
        assert texts == [f"{each['score']:.3f}" for each in detections if each["score"] >= 0.3]
        # The box on the screen: 240 pixels of the image are as wide as the picture.
        picture, first = page.locator("#image").bounding_box(), page.locator("#boxes rect.line").first
        assert picture is not None
        assert abs(picture["width"] / picture["height"] - 240 / 160) < 0.01
        screen, corners = first.bounding_box(), drawn(page)[0]
        assert screen is not None
        scale = picture["width"] / 240
        assert screen["x"] - picture["x"] == pytest.approx(corners[0] * scale, abs=2)
        assert screen["width"] == pytest.approx((corners[2] - corners[0]) * scale, abs=4)


def test_the_threshold_shows_and_hides_boxes(
    browser: Browser, server: Served, detections: list[dict[str, Any]]
) -> None:
    with page_of(browser, server) as page:
        choose_photo(page)
        for conf in (0.05, 0.5, 0.2):
            set_threshold(page, conf)
            count = sum(each["score"] >= conf for each in detections)
            assert page.locator("#boxes rect.line").count() == count
            assert page.locator("#list button").count() == count
            assert page.locator("#value").inner_text() == f"{conf:.2f}"
            assert page.locator("#status").inner_text().startswith(f"{count} detection")
        set_threshold(page, 1)
        assert page.locator("#list button").count() == 0


def test_classes_have_the_thresholds_of_the_model_until_the_slider_is_moved(
    browser: Browser, detections: list[dict[str, Any]]
) -> None:
    limits = {1: 0.19, 5: 0.325, 7: 0.25}  # by the id of the class
    points = tuple((OperatingPoint(score, 0.9, 0.5),) for score in limits.values())
    loaded = replace(loaded_model(CLASSES), thresholds=Thresholds("val", 9, points))
    with served(ServeOptions("m", conf="auto", precision="float32"), loaded) as own, page_of(browser, own) as page:
        choose_photo(page)
        count = sum(each["score"] >= limits[each["label_id"]] for each in detections)
        assert 0 < count < sum(each["score"] >= 0.2 for each in detections)
        assert page.locator("#boxes rect.line").count() == page.locator("#list button").count() == count
        assert page.locator("#value").inner_text() == "auto"
        assert page.locator("#curl").inner_text().endswith("/predict?conf=auto'")
        set_threshold(page, 0.2)
        assert page.locator("#list button").count() == sum(each["score"] >= 0.2 for each in detections)
        assert page.locator("#value").inner_text() == "0.20"


@pytest.mark.parametrize("width", WIDTHS)
def test_labels_of_boxes_are_as_large_on_every_screen(browser: Browser, server: Served, width: int) -> None:
    """In a small image and a large one, too, although they are drawn in pixels of the image."""
    with page_of(browser, server, width) as page:
        for content in (CONTENT, png(400, 700)):
            page.locator("#file").set_input_files({**PHOTO, "buffer": content})  # type: ignore[arg-type]
            page.get_by_text(re.compile(f"; {240 if content is CONTENT else 700} . ")).wait_for()
            set_threshold(page, 0.05)
            page.locator("#list button").first.click()  # of many boxes the chosen one alone has a label
            heights = page.locator("#boxes g.tags text").evaluate_all(
                "all => all.map((each) => each.getBoundingClientRect().height)"
            )
            assert heights
            assert min(heights) > 11
            assert max(heights) < 20


def test_classes_are_switched(browser: Browser, server: Served, detections: list[dict[str, Any]]) -> None:
    dogs = [each for each in detections if each["label"] == "dog" and each["score"] >= 0.3]
    with page_of(browser, server) as page:
        choose_photo(page)
        page.get_by_role("button", name="None").click()
        assert drawn(page) == []
        dog = page.get_by_role("checkbox", name=re.compile("^dog"))
        dog.focus()
        page.keyboard.press("Space")
        assert len(drawn(page)) == len(dogs)
        assert page.evaluate("document.activeElement.dataset.class") == "5"
        assert "classes=dog" in page.locator("#curl").inner_text()
        page.get_by_role("button", name="All").click()
        assert "classes=" not in page.locator("#curl").inner_text()


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_an_image_is_dropped_or_pasted(browser: Browser, server: Served, way: str) -> None:
    with page_of(browser, server) as page:
        text = base64.b64encode(CONTENT).decode()
        data = page.evaluate_handle(DROP, ["a.png", "image/png", text])
        if way == "drop":
            page.dispatch_event("#give", "dragover", {"dataTransfer": data})
            assert page.locator("#give.over").count() == 1
            page.dispatch_event("#give", "drop", {"dataTransfer": data})
        else:
            page.evaluate(
                "(data) => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data }))", data
            )
        page.locator("#list button").first.wait_for()
        assert page.locator("#give.over").count() == 0


def test_a_box_is_chosen_by_keyboard_and_by_pointer(browser: Browser, server: Served) -> None:
    with page_of(browser, server) as page:
        choose_photo(page)
        first = page.locator("#list button").first
        first.focus()
        page.keyboard.press("Enter")
        assert first.get_attribute("aria-pressed") == "true"
        assert page.locator("#boxes g.box.on").count() == 1
        page.keyboard.press("Enter")
        assert page.locator("#boxes.chosen").count() == 0
        page.locator("#boxes rect.line").last.dispatch_event("click")
        assert page.locator("#list button[aria-pressed=true]").count() == 1


def test_everything_is_reached_by_the_tab_key(browser: Browser, server: Served) -> None:
    with page_of(browser, server) as page:
        choose_photo(page)
        page.locator("h1").evaluate("(heading) => { heading.tabIndex = -1; heading.focus(); }")
        reached = []
        for _ in range(12):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
        assert reached[:6] == ["A", "choose", "camera", "threshold", "all", "none"]
        assert "BUTTON" in reached[9:]
        slider = page.locator("#threshold")
        slider.focus()
        page.keyboard.press("ArrowRight")
        assert page.locator("#value").inner_text() == "0.31"


def test_a_refused_image_is_explained(browser: Browser, server: Served) -> None:
    with page_of(browser, server) as page:
        page.locator("#file").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": bytes(2**20 + 1)})
        assert page.locator("#fault").inner_text() == "The image has 1.0 MB; this server reads up to 1 MB."
    context = browser.new_context()
    page = context.new_page()  # Chromium itself writes a line about a status of 422
    page.goto(server.url)
    page.locator("#file").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": b"no image"})
    page.get_by_text("E105 cannot decode the image: it is not an image of a known format").wait_for()
    assert page.locator("#status").inner_text() == ""
    context.close()


def test_the_program_in_python_does_the_same(
    browser: Browser, server: Served, detections: list[dict[str, Any]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with page_of(browser, server, permissions=["clipboard-read", "clipboard-write"]) as page:
        choose_photo(page)
        set_threshold(page, 0.4)
        page.locator("button[data-copy=python]").click()
        page.get_by_text("Copied").wait_for()
        program = page.evaluate("navigator.clipboard.readText()")
        command = page.locator("#curl").inner_text()
    assert command == (
        f"curl --data-binary '@it'\\''s a photo.png' -H 'Content-Type: image/png' '{server.url}/predict?conf=0.4'"
    )
    (tmp_path / "it's a photo.png").write_bytes(CONTENT)
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "page", "exec"), {})
    expected = [f"{each['label']} {each['score']} {each['box']}" for each in detections if each["score"] >= 0.4]
    assert capsys.readouterr().out.splitlines() == expected


def test_a_picture_is_taken_with_the_camera(server: Served, browser: Browser) -> None:
    flags = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    found = os.environ.get("FASTER_RCNN_TEST_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)))
    camera = browser.browser_type.launch(executable_path=found, args=flags)
    try:
        with page_of(camera, server) as page:
            page.get_by_role("button", name="Use the camera").click()
            page.get_by_role("button", name="Take the picture").click()
            page.locator("#result:not([hidden])").wait_for()
            assert page.locator("#ask").is_visible()
            assert re.search(r"\d+ . \d+ pixels", page.locator("#status").inner_text())
    finally:
        camera.close()


def test_with_keys_the_examples_name_one() -> None:
    options = ServeOptions("m", precision="float32", keys=("0123456789abcdef",))
    with served(options) as locked:
        html = locked.get("/", {"Authorization": "Bearer 0123456789abcdef"}).body.decode()
    assert '"needs_key":true' in html
    assert "0123456789abcdef" not in html


def test_names_of_classes_are_no_markup(server: Served) -> None:
    html = server.get("/").body.decode()
    assert "cat</script>" not in html
    assert html.count("<script") == 2


@pytest.mark.parametrize("width", WIDTHS)
def test_the_routes_are_described_for_people(browser: Browser, server: Served, width: int) -> None:
    with page_of(browser, server, width) as page:
        page.goto(f"{server.url}/docs")
        assert page.evaluate(WIDE) == []
        assert serious_faults(page) == []
        headings = page.locator("article h2").all_inner_texts()
        assert "POST /predict" in headings
        assert len(headings) == len(server.get("/openapi.json").json["paths"])
        if folder := os.environ.get("FASTER_RCNN_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / f"serve-docs-{width}.png", full_page=True)
