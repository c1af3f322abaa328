"""Names of films and cameras among the sources of a command line."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence

from faster_rcnn.errors import OptionError

_ENDINGS = "3gp avi flv m2ts m4v mkv mov mp4 mpeg mpg mts ogv ts webm wmv"
FILM_SUFFIXES = frozenset(f".{ending}" for ending in _ENDINGS.split())
"""Endings of films; a file of another ending is taken for an image."""

CAMERA = "camera:"
"""Prefix of the name of a camera, before its number."""


def is_film(source: str) -> bool:
    """Whether a source is a film or a camera, by its name; a folder of such a name is none."""
    if source.startswith(CAMERA):
        return True
    return os.path.splitext(source)[1].lower() in FILM_SUFFIXES and not os.path.isdir(source)


def camera_number(source: str) -> int | None:
    """The number of a camera such as ``camera:0``, ``None`` for a film; raises ``OptionError`` for any other text."""
    if not source.startswith(CAMERA):
        return None
    number = source.removeprefix(CAMERA)
    if not re.fullmatch(r"[0-9]{1,3}", number):
        raise OptionError(f"{source}: a camera is named by its number, such as {CAMERA}0", code="E125")
    return int(number)


def films_among(sources: Sequence[str]) -> list[str]:
    """The films and cameras that sources name, patterns such as ``films/*.mp4`` expanded; each is named once.

    Raises ``OptionError`` where other sources are images, which have results of another form.
    """
    films = [source for source in sources if is_film(source)]
    others = [source for source in sources if not is_film(source)]
    if films and others:
        raise OptionError(
            f"{films[0]} is a film and {others[0]} is none: films and images have results of their own; run the "
            "command once for the films and once for the images",
            code="E125",
        )
    return list(dict.fromkeys(name for source in films for name in _expanded(source)))


def _expanded(source: str) -> list[str]:
    """The files that a pattern fits; a name that exists or fits nothing stays as it is."""
    if os.path.exists(source) or not glob.has_magic(source):
        return [source]
    return sorted(glob.glob(source, recursive=True)) or [source]
