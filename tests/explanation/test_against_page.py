from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from faster_rcnn.explanation.against import Against, against, against_on_data
from faster_rcnn.explanation.against_page import (
    change_page,
    class_rows,
    save_change_page,
    shares_of,
    verdict_rows,
)
from faster_rcnn.explanation.causes.kinds import Thresholds, Verdict, VerdictKind
from faster_rcnn.explanation.dataset.pairs import TruthPair
from faster_rcnn.structures import ClassMap
from files import coco_folder
from made_surveys import TINY_BOXES, made_survey, tiny_detector
from opened_pages import WIDTHS, assert_serves_everyone, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOUND, LOOSE, LOW = VerdictKind.FOUND, VerdictKind.LOOSE_BOX, VerdictKind.LOW_SCORE
EVIL = "</title><script>alert('1')</script>\u202e"


def pair(before: VerdictKind, after: VerdictKind, name: str = "cat") -> TruthPair:
    return TruthPair(0, name, (0.0, 0.0, 1.0, 1.0), Verdict(0, 0, before, None), Verdict(0, 0, after, None))


PAIRS = [pair(FOUND, FOUND), pair(LOOSE, FOUND), pair(FOUND, LOW, "dog"), pair(LOW, LOW, "dog"), pair(LOW, LOW, "dog")]


def test_shares_of_the_bar_add_up() -> None:
    shares = {share.name: (share.count, share.percent) for share in shares_of(PAIRS)}
    assert shares == {"found by both": (1, 20), "gained": (1, 20), "lost": (1, 20), "missed by both": (2, 40)}
    assert shares_of([]) == []


def test_rows_of_verdicts_and_of_classes() -> None:
    assert [(row.kind, row.gained, row.lost) for row in verdict_rows(PAIRS)] == [
        ("loose-box", 1, 0),
        ("low-score", 0, 1),
    ]
    rows = class_rows(PAIRS, ["dog", "cow", "cat"])
    assert [(row.name, row.truths, row.gained, row.lost) for row in rows] == [("dog", 3, 0, 1), ("cat", 2, 1, 0)]
    assert [(row.before, row.after) for row in rows] == [(1 / 3, 0), (0.5, 1)]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Against:
    """Two tiny detectors, of which the second one reports at most one detection."""
    data = coco_folder(tmp_path_factory.mktemp("data") / "data", TINY_BOXES)
    detectors = tiny_detector(), tiny_detector(roi={"max_detections": 1})
    return against_on_data(detectors, data, None, Thresholds(0.3, 0.05), ("runs/<old>", "runs/new"))


@pytest.fixture(scope="module")
def path(found: Against, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_change_page(found, tmp_path_factory.mktemp("page") / "change.html", EVIL)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_quiet_fits_its_window_and_has_no_serious_fault(
    browser: Browser, path: Path, width: int, scheme: str
) -> None:
    assert_serves_everyone(browser, path, width, scheme)


def test_the_page_has_the_numbers_of_the_comparison(browser: Browser, path: Path, found: Against) -> None:
    with opened(browser, path) as page:
        headline = dict(
            zip(
                page.locator(".headline dt").all_inner_texts(),
                page.locator(".headline dd").all_inner_texts(),
                strict=True,
            )
        )
        assert headline["Gained"] == str(len(found.gained)) == "0"
        assert headline["Lost"] == str(len(found.lost))
        change = found.changes["AP50"]
        assert change.after is not None
        assert change.change is not None
        assert headline["AP50"].split() == [f"{change.after:.3f}", f"{change.change:+.3f}"]
        assert page.locator("figure").count() == len(found.lost) > 0
        row = page.locator("table", has_text="Metric").locator("tbody tr").first.inner_text()
        assert change.interval is not None
        for value in (found.changes["AP"].before, found.changes["AP"].after):
            assert f"{value:.3f}" in row
        bar = page.locator(".stack").get_attribute("aria-label")
        assert bar == ", ".join(f"{share.name} {share.count}" for share in shares_of(found.common.pairs))
        assert "No truth was gained." in page.locator("main").inner_text()


def test_names_are_escaped(path: Path, found: Against) -> None:
    html = path.read_text()
    assert "<script" not in html
    assert "\u202e" not in html
    assert "runs/&lt;old&gt;" in html
    assert len(re.findall("<figure>", change_page(found, "data", max_crops=1))) == 1


def test_without_truths_the_page_states_it() -> None:
    classes = ClassMap(("cat",), (1,))
    empty = against(made_survey(classes=classes), replace(made_survey(classes=classes)))
    html = change_page(empty, "data")
    assert "no truth that both detectors can be judged by" in html
    assert "n/a" in html
