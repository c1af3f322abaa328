"""Loggers have their own levels again, whatever happens within."""

from __future__ import annotations

import logging

import pytest

from faster_rcnn.system.logs import logged_from

NAMES = ("faster_rcnn.tests.one", "faster_rcnn.tests.other")


def test_lower_levels_are_left_out_for_a_while() -> None:
    one, other = map(logging.getLogger, NAMES)
    one.setLevel(logging.DEBUG)
    other.setLevel(logging.CRITICAL)
    levels: list[int] = []

    def failing() -> None:
        with logged_from(logging.ERROR, *NAMES):
            levels.extend((one.level, other.level))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert levels == [logging.ERROR, logging.CRITICAL]
    assert (one.level, other.level) == (logging.DEBUG, logging.CRITICAL)
