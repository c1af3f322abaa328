"""Checks of the numbers that limit what is reported: text and NaN are refused at the call, before the arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real

from faster_rcnn.errors import OptionError

Conf = float | str
"""Lowest score that is reported: a number, ``auto``, or a target such as ``precision=0.95``."""

TARGETS = ("precision", "recall")


@dataclass(frozen=True, slots=True)
class Target:
    """What the detections of each class are to reach."""

    name: str
    """One of ``TARGETS``."""
    value: float


def target_of(conf: str) -> Target | None:
    """The target of a text; ``None`` for ``auto``, the best F1; raises ``OptionError`` (E125) for another text."""
    name, _, value = conf.partition("=")
    if conf == "auto":
        return None
    if name not in TARGETS:
        refuse_number_as_text("conf", conf)
        raise OptionError(
            f"conf {conf:.40}: it is a number between 0 and 1, auto, or a target such as precision=0.95 or recall=0.9",
            code="E125",
        )
    try:
        share = float(value)
    except ValueError:
        raise OptionError(f"conf {conf:.40}: a {name} is a number, such as {name}=0.9", code="E125") from None
    refuse_share(f"conf {name}", share, f"a {name} is")
    return Target(name, share)


def refuse_limits(conf: Conf, max_detections: int | None, batch: int | None = None) -> None:
    """Raise ``OptionError`` for a score outside 0..1, or a limit of detections or a batch of images below 1."""
    if isinstance(conf, str):
        target_of(conf)
    else:
        refuse_share("conf", conf, "scores are")
    if max_detections is not None:
        refuse_below_one("max-det", max_detections, "an image can have 1 detection or more")
    if batch is not None:
        refuse_below_one("batch", batch, "1 image or more are detected together")


def refuse_share(name: str, value: float, what: str) -> None:
    """Raise ``OptionError`` for anything but a number in 0..1; ``what`` begins the rule, such as ``scores are``."""
    refuse_non_number(name, value)
    if not 0 <= value <= 1:
        hint = f"; {value:g} % is {value / 100:g}" if 1 < value <= 100 else ""
        raise OptionError(f"{name} {value:g}: {what} between 0 and 1{hint}", code="E125")


def refuse_below_one(name: str, value: int, rule: str = "it must be 1 or more") -> None:
    """Raise ``OptionError`` for anything but an integer of 1 or more."""
    refuse_non_integer(name, value)
    if value < 1:
        raise OptionError(f"{name} {value}: {rule}", code="E125")


def refuse_non_integer(name: str, value: int) -> None:
    """Raise ``OptionError`` for anything but an integer, numpy's integers included."""
    refuse_non_number(name, value)
    if not isinstance(value, Integral):
        raise OptionError(f"{name} {value!r} is no integer", code="E125")


def refuse_number_as_text(name: str, text: str) -> None:
    """Raise ``OptionError`` for a text that is a number."""
    if _without_quotes(name, text):
        refuse_non_number(name, text)


def refuse_non_number(name: str, value: object) -> None:
    """Raise ``OptionError`` for anything but a real number, numpy's numbers included; ``bool`` is refused."""
    if isinstance(value, Real) and not isinstance(value, bool):
        return
    kind = "text" if isinstance(value, str) else f"of type {type(value).__name__}"
    raise OptionError(f"{name} {value!r:.40} is {kind}; it must be a number{_without_quotes(name, value)}", code="E125")


def _without_quotes(name: str, value: object) -> str:
    """The remedy for a number that is written as text."""
    if not isinstance(value, str):
        return ""
    try:
        float(value)
    except ValueError:
        return ""
    return f": {name.replace('-', '_')}={value.strip()}"


def names_in(option: str, text: str, known: Iterable[str], kind: str) -> tuple[str, ...]:
    """The different names of a list with commas, such as ``coco,crops``; ``kind`` says what they name.

    Raises ``OptionError`` for a name that is none of ``known`` (E125).
    """
    names = tuple(dict.fromkeys(each.strip() for each in text.split(",")))
    known = tuple(known)
    unknown = next((each for each in names if each not in known), None)
    if unknown is not None:
        listed = ", ".join(known)
        raise OptionError(f"{option} {text}: there is no {kind} '{unknown}'; {kind}s are {listed}", code="E125")
    return names


def refuse_unknown(name: str, value: object, choices: Sequence[object]) -> None:
    """Raise ``OptionError`` for a value that is none of ``choices``."""
    if value not in choices:
        raise OptionError(f"{name} '{value}' is none of {', '.join(map(str, choices))}", code="E125")
