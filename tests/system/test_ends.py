from __future__ import annotations

import pytest

from faster_rcnn.errors import MachineError
from faster_rcnn.system.ends import Ends


def ends(*ended: dict[int, int], count: int = 2, signal: int | None = None) -> Ends:
    """The ends of processes as they were noted, those of one ``dict`` at once."""
    found = Ends(count, signal=signal)
    for each in ended:
        found.note(each)
    return found


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        ([{0: 0, 1: 0}], 0),
        ([{1: 2}, {0: 3}], 2),
        ([{1: 0}, {0: 3}], 3),
        ([{0: 143, 1: 143}], 143),
        ([{1: -15}, {0: 143}], 143),
        ([{0: -2, 1: -2}], 130),
        ([{1: 143}, {0: 5}], 5),  # the first process could not save
    ],
)
def test_exit_codes(ended: list[dict[int, int]], code: int) -> None:
    assert ends(*ended).exit_code() == code


def test_a_process_is_noted_once() -> None:
    found = ends({1: 2}, {1: 2, 0: 4})
    assert list(found.codes.items()) == [(1, 2), (0, 4)]
    assert found.failed()
    assert not ends({1: 0}).failed()


@pytest.mark.parametrize(
    ("ended", "message"),
    [
        ([{0: 5, 1: -9}], r"^process 1 of 2 was killed \(SIGKILL\)"),  # both ended since the last look
        ([{1: -9}, {0: 143}], r"^process 1 of 2 was killed \(SIGKILL\)"),
        ([{0: -11}, {1: 5}], r"^process 0 of 2 crashed \(SIGSEGV\), "),
        ([{0: -62}], r"^process 0 of 2 crashed \(signal 62\), "),
    ],
)
def test_a_process_that_was_killed_is_named(ended: list[dict[int, int]], message: str) -> None:
    with pytest.raises(MachineError, match=message):
        ends(*ended).exit_code()


def test_a_crash_after_an_error_is_not_the_cause() -> None:
    assert ends({1: 2}, {0: -6}).exit_code() == 2


def test_processes_that_were_killed_here_were_interrupted() -> None:
    assert ends(signal=15).exit_code() == 143
    assert ends({1: 143}, signal=15).exit_code() == 143
    assert ends({1: 1}, signal=15).exit_code() == 1
