"""Interpreter of pickles that replaces Python's unpickler: it calls and imports nothing but what its caller provides.

A pickle is a list of steps that push values on a stack, combine them and call functions by their names. The standard
library's ``pickletools`` splits it into these steps. The caller provides a ``Function`` for each name, which checks its
own arguments. Memory stays in proportion to the file: a value is as long as its bytes in the file, and a step adds at
most one value.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from io import BufferedIOBase
from pickletools import genops
from typing import Any, NoReturn

MAX_STEPS = 4_000_000
"""Maximum number of steps of a pickle; a checkpoint with the state of its optimizer has some 50,000."""

_VALUES = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
    | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
)
"""Steps that push their argument."""

_CONSTANTS: dict[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


class Refused(pickle.UnpicklingError):
    """The pickle does something that no weights need; the message continues the words "is a pickle that"."""


class Closed:
    """Base of all stand-ins, whose attributes a pickle cannot set, so that it cannot change them."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise Refused("changes something that is not its own")


class Function(Closed):
    """Stand-in for a function or a class, which can only be called."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[..., object]) -> None:
        self.call = call


class StandIn(dict[object, object]):
    """Stand-in for an object of another package; it keeps the items that a dictionary of that package has."""

    def __init__(self, name: str, *_: object, **__: object) -> None:
        super().__init__()
        self.name = name
        """Name of the object's class, with its module."""


def run_pickle(
    stream: BufferedIOBase, size: int, find: Callable[[str, str], object], persistent: Callable[[object], object]
) -> object:
    """Run the pickle at the position of ``stream`` and return its value; bytes after its end are not read.

    Sets become lists, and items of dictionaries whose keys are not plain values are left out.

    Args:
        stream: a file.
        size: bytes of the whole file, beyond which no length in the pickle may reach.
        find: returns the object that a module and a name in it stand for.
        persistent: returns the object that an identifier stands for whose object is stored outside the pickle.

    Raises:
        Refused: the pickle does something that no weights need.
        Exception: any other; damaged bytes are a random program.
    """
    return _Machine(find, persistent).run(_BoundedStream(stream, size))


class _BoundedStream:
    """A file from which no read exceeds its size, so that a false length in a pickle allocates no memory."""

    def __init__(self, stream: BufferedIOBase, size: int) -> None:
        self._stream, self._size = stream, size
        self.readline = stream.readline

    def read(self, count: int) -> bytes:
        return self._stream.read(min(count, self._size))


class _Machine:
    """Stack and memory of a running pickle."""

    def __init__(self, find: Callable[[str, str], object], persistent: Callable[[object], object]) -> None:
        self.find, self.persistent = find, persistent
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        """Stacks below the marks, the innermost one last."""
        self.memo: dict[int, Any] = {}
        """Values that the pickle stored for later steps."""

    def run(self, stream: _BoundedStream) -> object:
        for count, (step, argument, _) in enumerate(genops(stream)):  # type: ignore[arg-type]  # it reads bytes and lines
            if count >= MAX_STEPS:
                raise Refused(f"has more than {MAX_STEPS} steps")
            if step.name in _VALUES:
                self.stack.append(argument)
            elif step.name in _CONSTANTS:
                self.stack.append(_CONSTANTS[step.name])
            elif step.name == "STOP":
                return self.stack.pop()
            elif step.name in _STEPS:
                _STEPS[step.name](self, argument)
            else:
                raise ValueError(f"the step {step.name} is in no pickle of weights")
        raise EOFError("it has no end")

    def push(self, value: object) -> None:
        self.stack.append(value)

    def since_mark(self) -> list[Any]:
        found, self.stack = self.stack, self.below.pop()
        return found

    def mark(self, _: object) -> None:
        self.below.append(self.stack)
        self.stack = []

    def make_tuple(self, count: int) -> None:
        values = [self.stack.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(values)))

    def append(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(values)
        elif not isinstance(target, StandIn):
            raise TypeError(f"items for a {type(target).__name__}")

    def set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise TypeError(f"items for a {type(target).__name__}")
        target.update(_plain_items(values))

    def call(self, function: object, arguments: object) -> None:
        if not isinstance(function, Function) or not isinstance(arguments, tuple):
            raise Refused("calls what is no function")
        self.stack.append(function.call(*arguments))

    def call_top(self, _: object) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self.call(function, arguments)

    def call_with_names(self, _: object) -> None:
        self.stack.pop()  # arguments by name
        self.call_top(None)

    def call_marked(self, name: str | None) -> None:
        values = self.since_mark()
        function = values.pop(0) if name is None else self.find(*name.split(" ", 1))
        self.call(function, tuple(values))

    def set_state(self, _: object) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Closed):
            target.__setstate__(state)
        elif not isinstance(target, dict):
            raise TypeError(f"a state for a {type(target).__name__}")

    def find_named(self, name: str) -> None:
        self.stack.append(self.find(*name.split(" ", 1)))

    def find_on_stack(self, _: object) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(self.find(str.__str__(module), str.__str__(name)))

    def keep(self, place: int | None) -> None:
        self.memo[len(self.memo) if place is None else int(place)] = self.stack[-1]


def _plain_items(values: list[Any]) -> dict[Any, Any]:
    """A dictionary from alternating keys and values, without keys that are tuples.

    A nested tuple can take years to hash, and no weights are stored under one.
    """
    pairs = zip(values[::2], values[1::2], strict=True)
    return {key: value for key, value in pairs if isinstance(key, str | bytes | int | float | None)}


def _check_protocol(_: object, protocol: int) -> None:
    if protocol > pickle.HIGHEST_PROTOCOL:
        raise ValueError(f"it has protocol {protocol}")


_STEPS: dict[str, Callable[[_Machine, Any], object]] = {
    "PROTO": _check_protocol,
    "FRAME": lambda *_: None,  # a hint for readers that prefetch
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_SET"), lambda machine, _: machine.push([])),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "MARK": _Machine.mark,
    "POP": lambda machine, _: machine.stack.pop() if machine.stack else machine.since_mark(),
    "POP_MARK": lambda machine, _: machine.since_mark(),
    "DUP": lambda machine, _: machine.push(machine.stack[-1]),
    **dict.fromkeys(("LIST", "FROZENSET"), lambda machine, _: machine.push(machine.since_mark())),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    "DICT": lambda machine, _: machine.push(_plain_items(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.make_tuple(1),
    "TUPLE2": lambda machine, _: machine.make_tuple(2),
    "TUPLE3": lambda machine, _: machine.make_tuple(3),
    "APPEND": lambda machine, _: machine.append([machine.stack.pop()]),
    **dict.fromkeys(("APPENDS", "ADDITEMS"), lambda machine, _: machine.append(machine.since_mark())),
    "SETITEM": lambda machine, _: machine.set_items([machine.stack.pop(), machine.stack.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, place: machine.push(machine.memo[place])),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.keep),
    "GLOBAL": _Machine.find_named,
    "STACK_GLOBAL": _Machine.find_on_stack,
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _Machine.call_top),
    "NEWOBJ_EX": _Machine.call_with_names,
    **dict.fromkeys(("INST", "OBJ"), _Machine.call_marked),
    "BUILD": _Machine.set_state,
    "PERSID": lambda machine, name: machine.push(machine.persistent(name)),
    "BINPERSID": lambda machine, _: machine.push(machine.persistent(machine.stack.pop())),
}


def shown(value: object) -> str:
    """A value for a message: a text or number itself, of any other value its type, because a list can be endless."""
    return f"{value!r:.40}" if isinstance(value, str | bytes | float) else f"a {type(value).__name__}"


def no_object(_: object) -> NoReturn:
    """Refuse identifiers of objects outside the pickle, for files that have none."""
    raise Refused("asks for an object that is not in it")
