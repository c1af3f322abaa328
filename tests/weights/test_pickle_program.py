"""Pickles are run step by step: plain values come out as Python reads them, and calls reach only given functions."""

from __future__ import annotations

import os
import pickle
import struct
from io import BytesIO
from typing import Any

import pytest

from faster_rcnn.weights.pickle_program import Closed, Function, Refused, StandIn, no_object, run_pickle, shown


def run(content: bytes, find: Any = None, persistent: Any = no_object) -> Any:
    def refuse(module: str, name: str) -> object:
        raise Refused(f"asks for {module}.{name}")

    return run_pickle(BytesIO(content), len(content), find or refuse, persistent)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_are_those_of_python(protocol: int) -> None:
    shared = [1, -2, 3**80]
    value = {"a": shared, "b": (shared, None, True, 0.5), 3: {"text": "é" * 300, "tuple": ((),)}}
    found = run(pickle.dumps(value, protocol))
    assert found == value
    assert found["a"] is found["b"][0]  # one object stays one


def test_sets_become_lists_and_keys_that_are_no_plain_values_are_left_out() -> None:
    assert sorted(run(pickle.dumps({1, 2}, 4))) == [1, 2]
    assert run(pickle.dumps({(1, 2): "tuple", "name": "text"})) == {"name": "text"}


def test_only_given_functions_are_called() -> None:
    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.getcwd, ()

    content = pickle.dumps(Runs(), 2)
    with pytest.raises(Refused, match=r"asks for posix\.getcwd"):
        run(content)
    asked: list[tuple[str, str]] = []

    def find(module: str, name: str) -> object:
        asked.append((module, name))
        return Function(lambda *arguments: ["called", *arguments])

    assert run(content, find) == ["called"]
    assert asked == [("posix", "getcwd")]
    with pytest.raises(Refused, match="calls what is no function"):
        run(content, lambda *_: "text")


def test_stand_ins_keep_items_and_cannot_be_changed() -> None:
    # A call without arguments, then one item: STACK_GLOBAL, EMPTY_TUPLE, REDUCE, SETITEM.
    program = b"\x80\x04\x8c\x01m\x8c\x01n\x93)R\x8c\x01kK\x05s."
    found = run(program, lambda module, name: Function(lambda *_: StandIn(f"{module}.{name}")))
    assert isinstance(found, StandIn)
    assert (found.name, dict(found)) == ("m.n", {"k": 5})
    # BUILD gives a state to what the name stands for.
    with pytest.raises(Refused, match="changes something that is not its own"):
        run(b"\x80\x04\x8c\x01m\x8c\x01n\x93}b.", lambda *_: Closed())


def test_objects_outside_the_pickle_are_asked_of_the_caller() -> None:
    program = b"\x80\x02K\x07Q."  # BINPERSID with the identifier 7
    assert run(program, persistent=lambda identifier: ("object", identifier)) == ("object", 7)
    with pytest.raises(Refused, match="asks for an object that is not in it"):
        run(program)


def test_a_false_length_allocates_nothing() -> None:
    with pytest.raises(Exception, match=r"expected .* bytes"):
        run(b"\x80\x04B" + struct.pack("<I", 2**31) + b"short.")


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"", ValueError), (b"N", ValueError), (b"\x80\x63N.", ValueError), (b"0.", IndexError), (b"K\x01]s.", TypeError)],
    ids=["empty", "no end", "protocol", "empty stack", "items of a number"],
)
def test_damaged_pickles_raise(content: bytes, error: type[Exception]) -> None:
    with pytest.raises((error, IndexError)):
        run(content)


def test_values_for_messages_are_short() -> None:
    assert shown("a" * 100) == "'" + "a" * 39
    assert shown(0.5) == "0.5"
    assert shown([[]]) == "a list"
