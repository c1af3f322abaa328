"""Progress is counted for the display that is installed, and for none where there is none."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from faster_rcnn.system.progress import Display, Meter, NoMeter, counted, displaying, progress


class Recorder:
    """A display, and the meter of each piece of work, that note every call."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    @contextmanager
    def meter(self, label: str, total: int | None, done: int, passing: bool) -> Iterator[Meter]:
        self.calls.append((label, total, done, passing))
        yield self
        self.calls.append("end")

    def advance(self, values: Mapping[str, float] | None = None, steps: int = 1) -> None:
        self.calls.append((values, steps))


def test_without_a_display_work_is_counted_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(counted(iter("ab"), "images", 2)) == ["a", "b"]
    with progress("epoch 1/2", 3) as meter:
        meter.advance({"loss": 1.0})
    assert capsys.readouterr() == ("", "")


def test_the_display_counts_each_item_after_it_was_used() -> None:
    display = Recorder()
    assert isinstance(display, Display)
    with displaying(display):
        for letter in counted("ab", "letters", 2):
            display.calls.append(letter)
    assert display.calls == [("letters", 2, 0, False), "a", (None, 1), "b", (None, 1), "end"]


def test_work_passes_on_what_it_is() -> None:
    display = Recorder()
    with displaying(display), progress("epoch 2/2", None, done=3, passing=True) as meter:
        meter.advance({"loss": 1.0}, steps=4)
    assert display.calls == [("epoch 2/2", None, 3, True), ({"loss": 1.0}, 4), "end"]


def fail_in_silence() -> None:
    with displaying(None), progress("silent", 1) as meter:
        assert isinstance(meter, NoMeter)
        raise ZeroDivisionError


def test_an_inner_display_replaces_the_outer_one_and_gives_way_to_it_even_after_an_error() -> None:
    outer = Recorder()
    with displaying(outer):
        with pytest.raises(ZeroDivisionError):
            fail_in_silence()
        with progress("shown", 1):
            pass
    assert outer.calls == [("shown", 1, 0, False), "end"]
    with progress("silent again", 1) as meter:
        assert isinstance(meter, NoMeter)


def test_an_item_is_not_held_while_the_next_one_is_made() -> None:
    class Item:
        pass

    earlier: list[weakref.ref[Item]] = []

    def items() -> Iterator[Item]:
        for _ in range(3):
            assert all(each() is None for each in earlier)
            item = Item()
            earlier.append(weakref.ref(item))
            yield item
            del item

    for item in counted(items(), "items", 3):
        del item
    assert len(earlier) == 3
