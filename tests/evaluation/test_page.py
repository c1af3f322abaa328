from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from faster_rcnn.evaluation.page import render, write_evaluation
from made_details import made_metrics
from opened_pages import WIDTHS, assert_serves_everyone

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_a_page_shows_every_number_and_escapes_names(tmp_path: Path) -> None:
    metrics = made_metrics()
    page = write_evaluation(tmp_path / "new", metrics, "test", "runs/<u>", "data").read_text()
    assert "<b>" not in page
    assert "<u>" not in page
    assert "&lt;b&gt;" in page
    assert metrics.details is not None
    for each in metrics.details.classes:
        assert each.point is not None
        assert f"{each.point.f1:.3f}" in page
    assert f"{metrics.details.intervals['AP50'].upper:.3f}" in page


def test_without_details_a_line_says_what_is_needed() -> None:
    assert "pip install hotcoco" in render(replace(made_metrics(), details=None), "test", "m", "d")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_evaluation(tmp_path_factory.mktemp("page"), made_metrics(), "test", "runs/cells", "cells")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_serves_everyone(browser: Browser, page: Path, width: int, scheme: str) -> None:
    assert_serves_everyone(browser, page, width, scheme)
