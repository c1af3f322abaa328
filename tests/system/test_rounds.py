"""Results of several processes, taken in the order of the items."""

from __future__ import annotations

import pytest

from faster_rcnn.errors import DatasetError, ElsewhereError, LostProcessError
from faster_rcnn.system.distributed import ALONE
from faster_rcnn.system.rounds import take_in_order
from several import in_processes
from several_shares import failing_take, failing_values, killed_among_values, taken

pytestmark = pytest.mark.xdist_group("several processes")


def test_a_process_alone_takes_each_value_before_the_next_is_computed() -> None:
    assert taken(ALONE, 3, 32) == (["0 of 0", "1 of 0", "2 of 0"], 1)
    with pytest.raises(DatasetError, match=r"^0 cannot be written$"):
        failing_take(ALONE)


@pytest.mark.parametrize(
    ("count", "total", "per_round"), [(2, 9, 2), (3, 12, 2), (3, 7, 32), (3, 2, 1), (2, 0, 1)], ids=str
)
def test_the_first_process_takes_all_values_in_order(count: int, total: int, per_round: int) -> None:
    (got, ahead), *others = in_processes(count, taken, total, per_round)
    assert got == [f"{item} of {item % count}" for item in range(total)]
    assert [each for each, _ in others] == [[]] * (count - 1)
    assert ahead <= per_round * count  # no more than a round is held


def test_an_error_of_one_process_ends_all_in_its_round() -> None:
    line = "process 1 of 2: item 5 cannot be read"
    assert in_processes(2, failing_values, 1, 5) == [("FasterRCNNError", line, 8), ("ElsewhereError", line, 5)]


def test_an_error_at_taking_ends_all() -> None:
    first, second = in_processes(2, failing_take)
    assert (isinstance(first, DatasetError), str(first)) == (True, "0 cannot be written")
    assert isinstance(second, ElsewhereError)


def test_a_killed_process_ends_all() -> None:
    first, second, _ = in_processes(3, killed_among_values)
    assert (isinstance(first, LostProcessError), isinstance(second, LostProcessError)) == (True, True)


def test_nothing_is_nothing() -> None:
    take_in_order(iter(()), 0, ALONE, lambda value: pytest.fail(f"there is no {value}"))
