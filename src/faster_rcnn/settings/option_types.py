"""Types of options that commands and values of options share."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, Token


def _integer(kind: object, tokens: Sequence[Token]) -> int:
    """An integer as it is typed; cyclopts by itself would round 2.5."""
    text = tokens[0].value
    if not re.fullmatch(r"[-+]?[0-9]+", text):
        raise ValueError(f'unable to convert "{text}" into int.')
    return int(text)


def _integer_or_auto(kind: object, tokens: Sequence[Token]) -> int | Literal["auto"]:
    return "auto" if tokens[0].value == "auto" else _integer(kind, tokens)


def _text(kind: object, tokens: Sequence[Token]) -> str:
    """A text as it is typed, for an option that may be an object in Python."""
    return tokens[0].value


Integer = Annotated[int, Parameter(converter=_integer)]
IntegerOrAuto = Annotated[int | Literal["auto"], Parameter(converter=_integer_or_auto)]
PixelsOfSide = Annotated[int, Parameter(converter=_integer, alias="--imgsz")]
"""The size of images; ``--imgsz`` is its name in other tools."""
Switch = Annotated[bool, Parameter(negative="")]
Settings = Annotated[list[str] | None, Parameter(name="--set", consume_multiple=1, negative="")]

# What a program may pass besides what a command line holds; it is converted before an option is stored.
if TYPE_CHECKING:
    import torch

    PathOption = str | Path
    ModelOption = str | Path
    DeviceOption = str | torch.device
    SettingsOption = str | Sequence[str] | None
    TransformOption = str | Callable[..., Any] | None
else:
    PathOption = Path
    ModelOption = str
    DeviceOption = str
    SettingsOption = Settings
    TransformOption = Annotated[Any, Parameter(converter=_text)]
