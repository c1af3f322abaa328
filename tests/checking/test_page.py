"""The page of a check: what it shows, and how it serves everyone in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from faster_rcnn.checking.page import PAGE, check_page, class_rows, histograms, write_page_of
from faster_rcnn.checking.run import check_data
from faster_rcnn.structures import ClassMap
from files import coco_folder
from opened_pages import WIDTHS, assert_serves_everyone
from tiny import tiny_config

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CLASSES = ClassMap(("<script>alert(1)</script>", "x" * 120, "cow"), (1, 5, 7))
BOX = (0, 3.0, 4.0, 10.0, 20.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [[BOX, BOX, (1, 20.0, 5.0, 0.0, 9.0), (1, 20.0, 5.0, 30.0, 60.0)], [BOX], [(2, 1.0, 2.0, 50.0, 3.0)]]
    folder = coco_folder(tmp_path_factory.mktemp("a-folder_of_" + "long" * 20), rows, CLASSES, split="train")
    coco_folder(folder, rows[:1], CLASSES, split="val")
    (folder / "images" / "2.png").write_bytes((folder / "images" / "2.png").read_bytes()[:900])
    return folder


@pytest.fixture(scope="module")
def page(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page_of(tmp_path_factory.mktemp("out"), check_data(data, tiny_config()))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_serves_everyone(browser: Browser, page: Path, width: int, scheme: str) -> None:
    assert_serves_everyone(browser, page, width, scheme)


def test_the_page_shows_every_kind_with_its_remedy(data: Path, page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    checked = check_data(data, tiny_config())
    assert page.name == PAGE
    for finding in checked.findings:
        assert finding.about.title in html
        assert finding.about.remedy.replace("'", "&#39;") in html
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert html.count("<img ") >= 4


def test_histograms_and_classes_are_those_of_train(data: Path) -> None:
    checked = check_data(data, tiny_config())
    assert [title for title, _ in histograms(checked)] == [
        "Size of objects",
        "Aspect ratio of objects",
        "Objects in an image",
    ]
    rows = class_rows(checked)
    assert (rows[0].name, rows[0].objects, rows[0].share) == ("cow", 1, 1.0)
    assert all((row.half is None) == (row.objects == 0) for row in rows)


def test_data_without_a_finding_say_so(tmp_path: Path) -> None:
    rows = [[(label, 3.0 + n, 4.0, 20.0, 20.0) for label in range(3)] for n in range(17)]
    checked = check_data(coco_folder(tmp_path, rows, split="test"), tiny_config())
    assert [each.kind for each in checked.findings if each.kind != "box.two-classes"] == []
    assert histograms(checked) == []
    assert class_rows(checked) == []
    assert "Images of test" in check_page(checked)
