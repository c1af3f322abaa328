"""The arguments of ``Detector.train``: the options of the command, and what only a program can give."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar, get_type_hints

import torch

from faster_rcnn.inference.given import path_given
from faster_rcnn.settings.train_options import TrainOptions
from faster_rcnn.training.callback import Callback

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class TrainCall(TrainOptions):
    """One call of ``Detector.train``."""

    data: str | Path = field(kw_only=False)
    """Folder or file of labelled images: COCO JSON, VOC, YOLO or CSV."""
    callbacks: Sequence[Callback] = ()
    """Follow the run, beside the command's display."""
    progress: bool = False
    """Whether messages, warnings and bars are shown on standard error, as the command shows them."""


def called_with(kind: Callable[P, TrainCall]) -> Callable[[Callable[[TrainCall], R]], Callable[P, R]]:
    """Let a function of one ``TrainCall`` take the fields of that value as its arguments.

    The arguments are written once, as fields, and type checkers and ``help`` show them. Paths may be text, a device
    may be torch's, and one setting may stand alone.

    Raises:
        OptionError: a path is no path (E125).
    """
    signature = inspect.signature(kind)

    def decorate(work: Callable[[TrainCall], R]) -> Callable[P, R]:
        @functools.wraps(work)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            given = signature.bind(*args, **kwargs).arguments
            values = {name: _converted(name, value) for name, value in given.items()}
            return work(TrainCall(**values))  # type: ignore[arg-type]  # checked by the signature

        returned = inspect.signature(work).return_annotation
        call.__signature__ = signature.replace(return_annotation=returned)  # type: ignore[attr-defined]
        return call

    return decorate


def _converted(name: str, value: object) -> object:
    """An argument of Python as the option is stored."""
    if name == "data" or (value is not None and _HINTS[name] == Path | None):
        return path_given(name, value)
    if name == "settings":
        return [value] if isinstance(value, str) else value if value is None else list(value)  # type: ignore[call-overload]
    return str(value) if isinstance(value, torch.device | os.PathLike) else value


_HINTS = get_type_hints(TrainCall)
