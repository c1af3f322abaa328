from __future__ import annotations

import logging
import sys
import time

import pytest

from faster_rcnn.system.console import LogMeter, fail, flags_of_shown, say, show, shown, warn
from faster_rcnn.system.progress import counted, progress

LOG = logging.getLogger("faster_rcnn.data")


def test_messages_go_to_stderr_only(capsys: pytest.CaptureFixture[str]) -> None:
    say("reading")
    warn("odd")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "reading\nwarning: odd\n"


@pytest.mark.parametrize("terminal", [False, True])
def test_quiet_work_shows_warnings_alone(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    with shown(quiet=True):
        say("reading")
        warn("odd")
        LOG.info("a message")
        LOG.warning("strange")
        assert list(counted(iter("ab"), "images", 2)) == ["a", "b"]
        with progress("validating", 2, passing=True) as meter:
            meter.advance()
    assert capsys.readouterr().err == "warning: odd\nwarning: strange\n"
    say("loud again")
    assert capsys.readouterr().err == "loud again\n"


def test_flags_show_as_much_in_another_process() -> None:
    assert flags_of_shown() is None
    with shown(quiet=True, debug=True):
        assert flags_of_shown() == ("--quiet", "--debug")
        with shown(verbose=True):
            assert flags_of_shown() == ("--verbose",)
        assert flags_of_shown() == ("--quiet", "--debug")
    assert flags_of_shown() is None


def test_names_of_files_cannot_move_the_cursor_or_begin_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    warn("two\nlines\x1b[2J.jpg \x00")
    say("a\ttable", "of lines \x9b2J\nwarning: made up")
    fail("no file \r\u202eb.jpg")
    show("a table\nof \x1b[31mlines")
    out, err = capsys.readouterr()
    assert out == "a table\nof \\x1b[31mlines\n"
    assert err.splitlines() == [
        "warning: two\\nlines\\x1b[2J.jpg \\x00",
        "a\\ttable",
        "of lines \\x9b2J\\nwarning: made up",
        "faster-rcnn: no file \\r\\u202eb.jpg",
    ]


def test_a_log_gets_one_line_at_the_end_of_short_work(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(), progress("epoch 1/2", 3) as meter:
        for step in range(3):
            meter.advance({"rpn_box": 0.5 - step / 10, "roi_box": 0.25})
    assert capsys.readouterr().err == "epoch 1/2  3/3  rpn_box 0.3  roi_box 0.25  in 0:00\n"


def test_a_log_line_has_the_time_left(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    meter = LogMeter("training", 10, seconds=30)
    for _ in range(4):
        now += 20
        meter.advance()
    # Lines are due at 40 s (2 steps, 8 left at 20 s each) and at 80 s (4 steps, 6 left).
    assert capsys.readouterr().err == "training  2/10  2:40 left\ntraining  4/10  2:00 left\n"


def test_work_of_unknown_length_and_of_no_length(capsys: pytest.CaptureFixture[str]) -> None:
    with shown():
        assert list(counted(iter("ab"), "images", None)) == ["a", "b"]
        assert list(counted([], "nothing", 0)) == []
    assert capsys.readouterr().err == "images  2  in 0:00\nnothing  0/0  in 0:00\n"


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with shown(), progress("epoch 1/2", 2) as meter:
        meter.advance({"rpn_box": 0.5})
        meter.advance(steps=1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "2/2" in err
    assert "rpn_box 0.5" in err


def test_beside_a_bar_names_are_printed_as_they_are_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    with shown(), progress("[bold]a\x1b[2J[/bold]", 1) as meter:
        warn("[red]cat[/red] :smile: [link=x]\x1b[31m.jpg")
        meter.advance()
    err = capsys.readouterr().err
    assert "warning: [red]cat[/red] :smile: [link=x]\\x1b[31m.jpg" in err
    assert "[bold]a\\x1b[2J[/bold]" in err
    assert not {"\x1b[2J", "\x1b[31m.jpg"} & set(err.split())


@pytest.mark.parametrize("verbose", [False, True])
def test_the_log_of_the_library_is_shown_as_messages(verbose: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with shown(verbose=verbose):
        LOG.debug("12 files")
        LOG.info("reading a\nb.jpg")
        LOG.warning("odd")
    LOG.warning("silent again")
    details = "data: 12 files\n" if verbose else ""
    assert capsys.readouterr().err == f"{details}reading a\\nb.jpg\nwarning: odd\n"


def test_passing_work_leaves_no_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(), progress("validating", 2, passing=True) as meter:
        meter.advance(steps=2)
    assert capsys.readouterr().err == ""


def test_silent_work_shows_results_and_errors_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(silent=True):
        say("working")
        warn("odd")
        logging.getLogger("faster_rcnn.data").error("odd, too")
        assert list(counted([1, 2], "images", 2)) == [1, 2]
        show("result")
        fail("error: no labels")
    assert capsys.readouterr() == ("result\n", "faster-rcnn: error: no labels\n")
    with shown():
        warn("odd")
    assert capsys.readouterr().err == "warning: odd\n"
