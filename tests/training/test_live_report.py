"""The report of a run that goes on refreshes itself, and that of one that has ended does not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from faster_rcnn import Callback
from faster_rcnn.training import session
from faster_rcnn.training.callback import EpochEnd, StepEnd
from faster_rcnn.training.loop import Interrupted
from made_data import settings_file, train_with
from made_pages import made_report
from opened_pages import WIDTHS, assert_serves_everyone, opened
from read_reports import WellFormed, stopped_after, text_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser

REFRESH = "setTimeout(again, 10 * 1000);"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return settings_file(tmp_path, epochs=3)


class Reading(Callback):
    """Reads the report after each epoch."""

    def __init__(self, folder: Path) -> None:
        self.pages: list[str] = []
        self.path = folder / "report.html"

    def on_epoch_end(self, event: EpochEnd) -> None:
        if self.path.exists():
            self.pages.append(self.path.read_text(encoding="utf-8"))


def test_the_page_is_written_after_each_epoch_and_refreshes_itself_until_the_end(
    squares: Path, config: Path, tmp_path: Path
) -> None:
    reading = Reading(tmp_path / "run")
    run = train_with(squares, config=config, out=tmp_path / "run", callbacks=[reading])
    assert [REFRESH in page for page in reading.pages] == [True, True, True]
    texts = [text_of(page) for page in reading.pages]
    assert "The training goes on: epoch 1 of 3 is done. This page is written after each epoch" in texts[0]
    assert "Best epoch 1 of 1" in texts[0]
    assert "epoch 2 of 3 is done" in texts[1]
    assert re.search(r"Classes The best model on 2 validation images", texts[1])
    assert "Validation pictures" not in texts[1]
    assert [WellFormed.faults(page) for page in reading.pages] == [["<script>"]] * 3
    last = (run / "report.html").read_text(encoding="utf-8")
    assert "<script>" not in last
    assert "Validation pictures" in text_of(last)
    assert "Ended because all epochs are done" in text_of(last)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_serves_everyone_and_loads_itself_again(browser: Browser, tmp_path: Path, width: int) -> None:
    assert_serves_everyone(browser, made_report(tmp_path, refresh=10), width, "light")
    path = made_report(tmp_path, refresh=1)
    with opened(browser, path, width) as page:
        page.locator("summary").click()
        page.evaluate("window.old = true")
        page.wait_for_timeout(1500)
        assert page.evaluate("window.old")  # while its table is open, it stays
        page.locator("summary").click()
        page.wait_for_function("window.old === undefined", timeout=10_000)


def test_a_run_that_ends_early_refreshes_its_page_no_longer(
    squares: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two steps and two images of the first epoch, then a step.
    monkeypatch.setattr(session, "stop_signals", stopped_after(5))
    reading = Reading(tmp_path / "run")
    with pytest.raises(Interrupted):
        train_with(squares, config=config, out=tmp_path / "run", callbacks=[reading])
    assert [REFRESH in page for page in reading.pages] == [True]
    page = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "Ended because interrupted" in text_of(page)


def test_a_run_that_fails_in_its_first_epoch_has_no_page(squares: Path, config: Path, tmp_path: Path) -> None:
    class Failing(Callback):
        def on_step_end(self, event: StepEnd) -> None:
            raise ZeroDivisionError("division by zero")

    with pytest.raises(ZeroDivisionError):
        train_with(squares, config=config, out=tmp_path / "run", callbacks=[Failing()])
    assert not (tmp_path / "run/report.html").exists()


def test_the_page_of_a_run_is_that_of_its_own_process(squares: Path, config: Path, tmp_path: Path) -> None:
    values: list[Any] = []

    class Seconds(Callback):
        def on_epoch_end(self, event: EpochEnd) -> None:
            text = text_of((tmp_path / "run/report.html").read_text(encoding="utf-8"))
            values.append(re.search(r"Total time (\S+) s", text))

    train_with(squares, config=config, out=tmp_path / "run", epochs=2, callbacks=[Seconds()])
    assert values[0] is not None
    assert float(values[0][1]) > 0
