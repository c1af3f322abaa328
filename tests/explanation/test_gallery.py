from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from faster_rcnn.explanation.causes.false_positives import FalseKind, false_positives
from faster_rcnn.explanation.causes.kinds import Thresholds
from faster_rcnn.explanation.causes.matching import UNMATCHED, match_detections
from faster_rcnn.explanation.causes.retries import Change
from faster_rcnn.explanation.dataset.advice import DataAdvice, Followed
from faster_rcnn.explanation.embedding import script_text
from faster_rcnn.explanation.gallery import dataset_page, save_dataset_page
from faster_rcnn.explanation.survey import Survey, survey_data
from faster_rcnn.structures import ClassMap
from faster_rcnn.system.terminal import printable
from files import coco_folder
from made_surveys import TINY_BOXES, tiny_detector, tiny_survey
from opened_pages import WIDE, WIDTHS, assert_serves_everyone, opened, serious_faults

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

EVIL = "</script><script>alert('1')</script><i \"onerror=\"x\u202e-->"


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return tiny_survey(tmp_path_factory.mktemp("data") / "data")


@pytest.fixture(scope="module")
def path(survey: Survey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_dataset_page(survey, tmp_path_factory.mktemp("page") / "page.html", "cells", "runs/cells")


def counts(page: Page) -> dict[str, str]:
    """The numbers that the script wrote, by their names."""
    cells = page.locator("[data-count]")
    return {
        cells.nth(index).get_attribute("data-count") or "": cells.nth(index).inner_text()
        for index in range(cells.count())
    }


def expected_counts(survey: Survey, conf: float, iou: float) -> dict[str, str]:
    """The same numbers, from the library's own matching."""
    found, wanted, false = 0, 0, Counter[str]()
    for image in survey.images:
        truth = image.record.truth
        matching = match_detections(image.detections.above(conf), truth, iou)
        found += int((matching.detections != UNMATCHED).sum())
        wanted += int((~truth.ignored).sum())
        false.update(str(one.kind) for one in false_positives(image.detections, truth, Thresholds(conf, iou)))
    numbers = {"found": found, "truths": wanted, "missed": wanted - found, "false": false.total()}
    numbers |= {str(kind): false[str(kind)] for kind in FalseKind}
    return {name: f"{number:,}" for name, number in numbers.items()}


def move(page: Page, name: str, value: float) -> None:
    """Set a slider, as a reader who moves it does."""
    page.locator(f"#{name}").fill(str(value))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_quiet_fits_its_window_and_has_no_serious_fault(
    browser: Browser, path: Path, width: int, scheme: str
) -> None:
    assert_serves_everyone(browser, path, width, scheme)


@pytest.mark.parametrize(("conf", "iou"), [(0.3, 0.5), (0.35, 0.3), (0.31, 0.15), (0.2, 0.7), (0.99, 0.5)])
def test_moved_thresholds_count_as_the_library_does(
    browser: Browser, path: Path, survey: Survey, conf: float, iou: float
) -> None:
    with opened(browser, path) as page:
        move(page, "score", conf)
        move(page, "iou", iou)
        assert counts(page) == expected_counts(survey, conf, iou)


def test_galleries_are_filtered_by_kind_class_and_thresholds(browser: Browser, path: Path, survey: Survey) -> None:
    false = [one for image in survey.images for one in image.false_positives]
    kinds = Counter(str(one.kind) for one in false)
    kind, count = min(kinds.items(), key=lambda item: item[1])
    with opened(browser, path) as page:
        shown = page.locator('figure[data-gallery="false"]:visible')
        page.locator("#false-kind").select_option(kind)
        assert shown.count() == min(count, 24)
        assert f"{count} fit the filters" in page.locator("#false-shown").inner_text()
        label = next(one.label for one in false if one.kind == kind)
        page.locator("#false-class").select_option(str(label))
        of_class = sum(one.kind == kind and one.label == label for one in false)
        assert f"{of_class} fit the filters" in page.locator("#false-shown").inner_text()
        move(page, "score", 0.99)
        assert shown.count() == 0
        page.locator("#reset").click()
        assert page.locator("#false-shown").inner_text().startswith(f"{min(len(false), 120)} fit the filters")


def test_every_control_works_by_keyboard(browser: Browser, path: Path, survey: Survey) -> None:
    with opened(browser, path) as page:
        page.locator("#score").focus()
        page.keyboard.press("ArrowRight")
        assert counts(page) == expected_counts(survey, 0.31, 0.5)
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowLeft")
        assert counts(page) == expected_counts(survey, 0.31, 0.49)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # the button Reset
        assert counts(page) == expected_counts(survey, 0.3, 0.5)
        more, figures = page.locator("#false-more"), page.locator('figure[data-gallery="false"]:visible')
        assert figures.count() == 24
        more.focus()
        page.keyboard.press("Enter")
        assert figures.count() > 24
        assert more.is_hidden()
        assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_names_of_data_classes_and_files_are_text(browser: Browser, tmp_path: Path) -> None:
    classes = ClassMap((EVIL, "dog", "hen"), (1, 5, 7))
    data = coco_folder(tmp_path / "data", TINY_BOXES, classes)
    found = survey_of(data, classes)
    html = dataset_page(found, EVIL, EVIL)
    assert not {each for each in set(html) if printable(each) != each} - {"\n"}
    assert html.count("<script") == 2
    assert "<script>alert" not in html
    path = tmp_path / "page.html"
    path.write_text(html, encoding="utf-8")
    with opened(browser, path) as page:
        assert "<script>alert('1')</script>" in page.locator("body").inner_text()
        assert page.locator("[onerror]").count() == 0


def survey_of(data: Path, classes: ClassMap) -> Survey:
    return survey_data(tiny_detector(classes), data, None, Thresholds(0.3))


@pytest.mark.parametrize("width", WIDTHS)
def test_advice_is_on_the_page_with_its_measured_ap(
    browser: Browser, tmp_path: Path, survey: Survey, width: int
) -> None:
    followed = Followed(Change("roi.nms_iou", 0.7), 4, 0.7512, 0.9, 7, 1234)
    advised = replace(survey, advice=DataAdvice(9, 5, {"roi.nms_iou": 4}, (followed,)))
    with opened(browser, save_dataset_page(advised, tmp_path / "page.html", "cells", "m"), width) as page:
        assert page.evaluate(WIDE) == []
        assert serious_faults(page) == []
        text = page.locator("section[aria-labelledby=advice]").inner_text()
        assert "tried on 5 of 9 missed truths" in text
        assert followed.change.words in text
        assert "0.751" in text
        assert "1,234" in text
        assert "no single setting" in text


def test_a_split_in_which_nothing_is_found_has_a_page(browser: Browser, tmp_path: Path) -> None:
    found = tiny_survey(tmp_path / "data", thresholds=Thresholds(1.0))
    with opened(browser, save_dataset_page(found, tmp_path / "page.html", "cells", "m"), 390) as page:
        assert page.evaluate(WIDE) == []
        assert "No reported detection is false." in page.locator("main").inner_text()
        assert counts(page)["found"] == "0"


def test_the_script_is_short_and_plain() -> None:
    script = script_text("explanation_dataset.js")
    assert len(script.splitlines()) <= 150
    for forbidden in ("innerHTML", "fetch(", "XMLHttpRequest", "import ", "eval(", "http:", "https:"):
        assert forbidden not in script
