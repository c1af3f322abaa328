"""Settings that are gone: a file that holds one at its default still means the same detector, other values do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faster_rcnn.errors import OptionError

REMOVED: Mapping[tuple[str, ...], str] = {
    ("backbone", "pyramid_padding"): "zeros",
    ("rpn", "head"): "siblings",
    ("rpn", "head_padding"): "zeros",
}
"""The default of each removed setting, which every detector now computes. ``docs/translation.md`` has what was measured
of the paddings; the other heads were used by no preset and no imported model."""


def is_removed(key: tuple[str, ...], value: object, where: str) -> bool:
    """Whether a setting is gone; ``where`` it is given is named in messages.

    Raises:
        OptionError: it is gone, and the value is not its default (E125).
    """
    if key in REMOVED and value != REMOVED[key]:
        raise OptionError(
            f"{where}: the setting {'.'.join(key)} was removed, and {value!r:.80} with it: all detectors compute what "
            f"{REMOVED[key]} meant. Leave the setting out and train anew",
            code="E125",
        )
    return key in REMOVED


def without_removed(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Settings by section, without the removed ones; raises ``OptionError`` as ``is_removed`` does."""
    return {
        section: {key: value for key, value in each.items() if not is_removed((section, key), value, where)}
        if isinstance(each, dict)
        else each
        for section, each in values.items()
    }
