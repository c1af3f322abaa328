"""Where a transform comes from: a function of Python, or the name of one in a file or a module."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from faster_rcnn.data.transform import Transform, TransformFunction
from faster_rcnn.errors import OptionError
from faster_rcnn.parsing.values import first_of

OPTION = "--transform"


def transform_of(given: str | TransformFunction | None) -> Transform | None:
    """The transform that a user gave: ``FILE.py:NAME``, ``module:NAME``, or the function itself.

    Raises:
        OptionError: it cannot be loaded, or does not take three arguments (E139).
    """
    if given is None:
        return None
    if isinstance(given, str):
        return loaded_transform(given)
    name = getattr(given, "__qualname__", type(given).__qualname__)
    _refuse_other_arguments(name, given)
    text = None
    with suppress(OSError, TypeError):  # a function that was typed at a prompt, or is no function
        text = inspect.getsource(given)
    return Transform(given, name, None if text is None else _digest(text.encode()))


def loaded_transform(name: str) -> Transform:
    """Load a transform by its name; raises ``OptionError`` (E139) where that fails."""
    place, _, function_name = name.rpartition(":")
    if not place or not function_name:
        _refuse(name, f"give a file and the name of a function in it, such as {place or function_name}:augment")
    module = _module_of(name, place)
    function = getattr(module, function_name, None)
    if not callable(function):
        own = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        _refuse(name, f"{place} has no function {function_name}; it has {first_of(own, 5) if own else 'none'}")
    _refuse_other_arguments(name, function)
    file = getattr(module, "__file__", None)
    digest = None if file is None else _digest(Path(file).read_bytes())
    return Transform(function, name, digest, loaded_transform)


def _module_of(name: str, place: str) -> ModuleType:
    """The module in a file, or of that name; it may import what lies beside it."""
    is_file = place.endswith(".py")
    if is_file and not Path(place).is_file():
        _refuse(name, f"{place} does not exist")
    beside = str(Path(place).resolve().parent) if is_file else os.getcwd()
    if beside not in sys.path:
        sys.path.append(beside)  # last, so that no file there replaces an installed package
    try:
        return _module_in(Path(place)) if is_file else importlib.import_module(place)
    except (Exception, SystemExit) as error:  # whatever a user's code raises
        reason = (str(error).splitlines() or [""])[0]
        raise OptionError(
            f"{OPTION} {name}: {place} cannot be loaded: {type(error).__name__}: {reason}", code="E139"
        ) from error


def _module_in(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"transform_in_{path.stem}", path)
    assert spec is not None  # the name ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickle look there
    spec.loader.exec_module(module)
    return module


def _refuse_other_arguments(name: str, function: TransformFunction) -> None:
    try:
        inspect.signature(function).bind(None, None, None)
    except TypeError as error:
        raise OptionError(
            f"{OPTION} {name}: the function must take (image, boxes, labels): {error}", code="E139"
        ) from error
    except ValueError:  # a function without a signature, such as one in C
        return


def _refuse(name: str, reason: str) -> NoReturn:
    raise OptionError(f"{OPTION} {name}: {reason}", code="E139")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
