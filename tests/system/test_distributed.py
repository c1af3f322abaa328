from __future__ import annotations

import signal
import socket
from datetime import timedelta

import pytest
import torch

from faster_rcnn.errors import ElsewhereError, FasterRCNNError, LostProcessError, MachineError
from faster_rcnn.system.distributed import ALONE, Processes, joined, lost_process_as_error
from faster_rcnn.system.signals import Signalled
from several import free_port, in_processes
from several_exchanges import abandoned, exchanged, interrupted, lines_of_each, unreadable

pytestmark = pytest.mark.xdist_group("several processes")


def test_a_process_alone_exchanges_nothing() -> None:
    numbers = torch.tensor([1, 2])
    with joined() as processes:
        assert processes is ALONE
    assert ALONE.added(numbers) is numbers
    assert (ALONE.largest(3, -1), ALONE.gathered("a"), ALONE.gathered_by_first("a")) == ([3, -1], ["a"], ["a"])
    assert (ALONE.from_first("a"), ALONE.together(lambda: 5), ALONE.share([1, 2])) == ("a", 5, [1, 2])
    assert (ALONE.of_first(lambda: 5), ALONE.outcomes(lambda: 5)) == (5, [5])
    assert (ALONE.is_first, ALONE.are_several) == (True, False)
    with pytest.raises(ValueError, match="as it is"):
        ALONE.together(lambda: (_ for _ in ()).throw(ValueError("as it is")))


def test_three_processes_exchange_values() -> None:
    found = in_processes(3, exchanged)
    assert [each.pop("share") for each in found] == [range(0, 7, 3), range(1, 7, 3), range(2, 7, 3)]
    assert [each.pop("gathered by first") for each in found] == [["0", "1", "2"], [], []]
    assert [each.pop("together") for each in found] == [0, 10, 20]
    everywhere = {
        "added": [3, 3],
        "largest": [2, 0],
        "gathered": [{"rank": 0}, {"rank": 1}, {"rank": 2}],
        "from first": [0],
        "of first": 7,
        "outcomes": [0, 10, 20],
    }
    assert found == [everywhere] * 3


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        ((1,), "process 1 of 2: E105 image 1 cannot be read"),
        ((0, 1), "E105 image 0 cannot be read"),
    ],
)
def test_an_error_of_one_process_ends_all_and_the_first_reports_it(ranks: tuple[int, ...], message: str) -> None:
    first, second = in_processes(2, unreadable, *ranks)
    assert (isinstance(first, FasterRCNNError), str(first), first.exit_code) == (True, message, 2)
    assert (isinstance(second, ElsewhereError), second.exit_code) == (True, 2)


def test_a_signal_to_one_process_interrupts_all() -> None:
    found = in_processes(2, interrupted, 1)
    assert [(isinstance(each, Signalled), each.signal) for each in found] == [(True, signal.SIGTERM)] * 2


def test_a_process_that_was_killed_ends_the_exchange_of_the_others() -> None:
    [first, _] = in_processes(2, abandoned)
    assert isinstance(first, LostProcessError)


def test_the_first_process_alone_logs_the_work_of_all() -> None:
    assert in_processes(2, lines_of_each) == [["read by all", "own"], ["own"]]


def test_an_address_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(free_port())}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    unreachable = r"^process 1 of 2 cannot connect with the others at localhost:"
    with pytest.raises(MachineError, match=unreachable), joined(timedelta(seconds=1)):
        raise AssertionError("it cannot be joined")


def test_a_port_in_use_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        values = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": other.getsockname()[1]}
        for name, value in values.items():
            monkeypatch.setenv(name, str(value))
        unusable = r"^process 0 of 2 cannot connect .*; check MASTER_ADDR"
        with pytest.raises(MachineError, match=unusable), joined(timedelta(seconds=1)):
            raise AssertionError("it cannot be joined")


@pytest.mark.parametrize("variable", ["RANK", "WORLD_SIZE", "LOCAL_RANK"])
def test_a_variable_that_is_no_number_is_named(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", variable: "two"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(MachineError, match=f"the environment variable {variable} is 'two', not a number"), joined():
        raise AssertionError("it cannot be joined")


def test_other_errors_are_not_taken_for_lost_processes() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"), lost_process_as_error():
        raise RuntimeError("shapes differ")
    with pytest.raises(LostProcessError), lost_process_as_error():
        raise RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:31246")


def test_shares_hold_each_item_once() -> None:
    for count in (1, 2, 3, 5):
        shares = [Processes(rank, count).share(list(range(7))) for rank in range(count)]
        assert sorted(each for share in shares for each in share) == list(range(7))
