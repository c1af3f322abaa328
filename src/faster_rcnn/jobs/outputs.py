"""Where results go: to standard output, or to a file that is either whole or not there."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from faster_rcnn.atomic import atomic_write
from faster_rcnn.errors import OptionError

STDOUT = "-"


def refuse_folder(option: str, target: str | None) -> None:
    """Raise ``OptionError`` where a file is asked for under the name of a folder; before the work, not after it."""
    if target is not None and target != STDOUT and (not target or Path(target).is_dir()):
        raise OptionError(f"{option} {target or repr(target)} is a folder; name a file, or - for standard output")


def refuse_file(option: str, target: Path | None) -> None:
    """Raise ``OptionError`` where a folder is asked for under the name of a file."""
    if target is not None and target.exists() and not target.is_dir():
        raise OptionError(f"{option} {target} is a file; name a folder")


@contextmanager
def json_lines(target: str) -> Iterator[Callable[[object], None]]:
    """A function that writes one value a line, at once; a file appears under its name when the last one is written."""
    if target == STDOUT:
        # Kept from the start: a progress bar puts something else in the place of sys.stdout.
        yield _line_writer(sys.stdout.write, sys.stdout.flush)
        return
    with atomic_write(Path(target)) as temporary, temporary.open("w", encoding="utf-8") as stream:
        yield _line_writer(stream.write, stream.flush)


def write_json(target: str, value: object) -> None:
    """One value, spread over lines for people."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if target == STDOUT:
        sys.stdout.write(text)
        return
    with atomic_write(Path(target)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _line_writer(write: Callable[[str], object], flush: Callable[[], object]) -> Callable[[object], None]:
    def write_line(value: object) -> None:
        write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
        flush()

    return write_line
