"""The images that a command line names: files, folders, patterns, and an image or paths on standard input.

Only their names are held in memory, and an image that is piped in: a million images take some hundred megabytes.
"""

from __future__ import annotations

import glob
import logging
import os
import re
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

from faster_rcnn.data.layout.folders import Folders, is_hidden, is_picture, nearby, unread_pictures, walk
from faster_rcnn.errors import OptionError
from faster_rcnn.parsing.values import first_of
from faster_rcnn.system.files import is_special, read_pipe

_LOG = logging.getLogger(__name__)

STDIN = "-"
STDIN_NAMES = (STDIN, "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")

OF_IMAGES = re.compile(rb"[\x00-\x08\x0e-\x1f]|\AP[1-3]\s")
"""Bytes that occur in images and in no list of paths, and the beginning of the formats of images that are text."""

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True, slots=True)
class Sources:
    """The images of some sources, found before any image is opened."""

    names: tuple[str, ...]
    """Files in the order of the sources, and sorted within each; ``-`` is an image on standard input."""
    repeats: int
    """The number of times that an image was named again; every image is taken once."""
    unused: tuple[str, ...]
    """Lines about sources that cannot be used: sources without an image, pictures of other formats."""
    notes: tuple[str, ...]
    """Lines about files and folders beside the images: folders in a folder, files that are no pictures."""
    piped: bytes = b""
    """The content of standard input, where it is an image."""

    def images(self) -> Iterator[Path | bytes]:
        """The images one by one, as a detector takes them: the path of a file, the bytes from a pipe.

        A pipe that nothing writes to is given by its path, too, and refused where the images are read.
        """
        for name in self.names:
            yield self.piped if name == STDIN else _content(name) if is_pipe(name) else Path(name)


@dataclass(frozen=True, slots=True)
class _Held:
    """The content of one source: paths of images, and names of the other files and folders."""

    images: Sequence[str]
    unread: Sequence[str] = ()
    others: Sequence[str] = ()
    folders: Sequence[str] = ()
    no_files: Sequence[str] = ()
    """Pipes, sockets and devices whose names end like those of images."""
    fault: str = ""
    """The reason why a folder cannot be read."""


def find_images(sources: Sequence[str]) -> Sources:
    """Find the images of all sources.

    A file that is named itself is taken whatever its ending is. A folder (without the folders below it) and a pattern
    give the files with the ending of an image that are not hidden. An image is the same under all paths to its folder,
    so ``a.jpg``, ``./a.jpg`` and ``../here/a.jpg`` are one image; links to it are images of their own.

    The source ``-`` is read: it is one image, or else a list of sources, one a line.

    Raises:
        OptionError: ``-`` is given, and nothing is piped in (E122).
    """
    piped = _standard_input() if any(source in STDIN_NAMES for source in sources) else b""
    listed = _lines(piped)
    if listed:
        sources = list(chain.from_iterable(listed if each in STDIN_NAMES else [each] for each in sources))
    names: dict[str, str] = {}
    unused: dict[str, None] = {}
    notes: dict[str, None] = {}
    count = 0
    real_folder = cache(os.path.realpath)
    for source in sources:
        held = _held(source)
        count += len(held.images)
        for name in held.images:
            names.setdefault(place_of(name, real_folder), name)
        unused.update(dict.fromkeys(_unused(source, held)))
        notes.update(dict.fromkeys(_notes(source, held)))
    if listed and not names:
        unused = {_no_image_listed(listed): None}
    return Sources(tuple(names.values()), count - len(names), tuple(unused), tuple(notes), b"" if listed else piped)


def require_images(sources: Sequence[str], done: str) -> Sources:
    """Find the images of all sources, and log a warning about each source without an image.

    Args:
        sources: files, folders, patterns, or ``-``.
        done: the participle in the warning for the other images, such as ``predicted``.

    Raises:
        OptionError: there is no image at all (E122).
    """
    found = find_images(sources)
    if not found.names:
        raise OptionError("; ".join(found.unused), code="E122")
    for line in found.unused:
        _LOG.warning(f"E122 {line}; the others are {done}")
    return found


def require_files(sources: Sequence[str], done: str) -> list[Path]:
    """The files of ``require_images``; raises ``OptionError`` for a pipe, too, which can be read only once."""
    names = require_images(sources, done).names
    if pipes := [name for name in names if is_pipe(name)]:
        raise OptionError(f"--images {pipes[0]} can be read only once, which is not enough here; give a file")
    return [Path(name) for name in names]


def place_of(name: str, real_folder: Callable[[str], str] = os.path.realpath) -> str:
    """The identity of an image: its name in the real path of its folder."""
    if name == STDIN:
        return STDIN
    folder, file = os.path.split(name)
    return os.path.join(real_folder(folder or "."), file)


def is_pipe(name: str) -> bool:
    """Whether an image is a stream of bytes that can be read only once: standard input, a pipe, ``<(command)``."""
    try:
        return name == STDIN or stat.S_ISFIFO(os.stat(name).st_mode)
    except OSError:
        return False


def _standard_input() -> bytes:
    """All that is piped in."""
    if sys.stdin is None or sys.stdin.isatty():
        raise OptionError("the source - is an image or paths on standard input, where nothing is piped in", code="E122")
    content = sys.stdin.buffer.read()
    if not content.strip():
        raise OptionError("the source - is an image or paths on standard input, which is empty", code="E122")
    return content


def _lines(content: bytes) -> list[str] | None:
    """The lines that are not empty, in the encoding of file names; ``None`` for an image."""
    if OF_IMAGES.search(content):
        return None
    return [line for line in os.fsdecode(content).replace("\r\n", "\n").split("\n") if line]


def _no_image_listed(lines: Sequence[str]) -> str:
    return (
        f"standard input is no image, and none of its lines names one: {first_of(lines, 3)}; pipe in the bytes of one "
        "image, or paths, one a line"
    )


def _content(name: str) -> bytes | Path:
    content = read_pipe(Path(name))
    return Path(name) if content is None else content


def _held(source: str) -> _Held:
    if source in STDIN_NAMES:
        return _Held([STDIN])
    if os.path.isdir(source):
        return _held_by_folder(source)
    if os.path.exists(source):  # first, so that an existing name with brackets is no pattern
        return _Held([source])
    if glob.has_magic(source) and not URL.match(source):
        files = sorted(name for name in glob.iglob(source, recursive=True) if not os.path.isdir(name))
        images, no_files = _parted([name for name in files if is_picture(os.path.basename(name))])
        return _Held(images, unread_pictures(map(os.path.basename, files)), no_files=no_files)
    return _Held([])


def _held_by_folder(folder: str) -> _Held:
    try:
        with os.scandir(folder) as entries:
            shown = sorted((each.name, each.is_dir()) for each in entries if not is_hidden(each.name))
    except OSError as error:
        return _Held([], fault=f" (the folder cannot be read: {error.strerror})")
    files = [name for name, is_folder in shown if not is_folder]
    folders = [name for name, is_folder in shown if is_folder and _has_images(os.path.join(folder, name))]
    pictures, unread = [name for name in files if is_picture(name)], unread_pictures(files)
    others = sorted(set(files) - {*pictures, *unread})
    images, no_files = _parted([os.path.join(folder, name) for name in pictures])
    return _Held(images, unread, others, folders, no_files)


def _parted(pictures: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate the files from pipes, sockets and devices."""
    no_files = [name for name in pictures if is_special(name)]
    return [name for name in pictures if name not in no_files], no_files


def _has_images(folder: str) -> bool:
    """Whether a folder has an image at any depth that is not hidden."""
    return any(any(map(is_picture, files)) or unread_pictures(files) for _, _, files in walk(folder))


def _unused(source: str, held: _Held) -> Iterator[str]:
    if held.no_files:
        yield f"{source}: pipes, sockets and devices are no files: {first_of(held.no_files, 3)}; save their content"
    if not held.images:
        yield f"no images match '{source}'{held.fault or _instead(source)}"
    elif held.unread:
        yield f"{source}: {_kinds(held.unread)} cannot be read, such as {first_of(held.unread, 3)}; save as JPEG or PNG"


def _notes(source: str, held: _Held) -> Iterator[str]:
    if not held.images:
        return
    if held.folders:
        inside = os.path.join(glob.escape(source), "**", "*")
        count = "1 folder" if len(held.folders) == 1 else f"{len(held.folders)} folders"
        yield f"{source}: {count} with images not entered ({first_of(held.folders, 3)}); '{inside}' takes all images"
    if held.others:
        yield f"{source}: {_kinds(held.others)} left out, such as {first_of(held.others, 3)}: not named like an image"


def _instead(source: str) -> str:
    """The content of a source without images, in brackets, or a hint at the source that was probably meant."""
    if URL.match(source):
        return " (URLs are not fetched; download it first, or pipe it in and give - as the source)"
    path = Path(source)
    if source and path.is_dir():
        return f" (the folder holds {_contents(path)})"
    folder = path.parent
    while glob.has_magic(str(folder)):
        folder = folder.parent
    if not folder.is_dir():
        return f" (there is no folder '{folder}').{nearby(folder)}".removesuffix(".")
    if glob.has_magic(source):
        return f" (the folder '{folder}' holds {_contents(folder)})"
    return Folders().hint(path) or f" (there is no such file).{nearby(path)}".removesuffix(".")


def _contents(folder: Path) -> str:
    """The numbers of files and folders in a folder, such as ``40 .txt files, 2 folders``."""
    with os.scandir(folder) as entries:
        shown = sorted((entry.is_dir(), entry.name) for entry in entries)
    files = [name for is_folder, name in shown if not is_folder]
    folders = len(shown) - len(files)
    parts = [_kinds(files)] if files else []
    if folders:
        inside = Path(glob.escape(str(folder))) / "**" / "*"
        parts.append(f"{folders} folder{'' if folders == 1 else 's'}, whose images '{inside}' would take")
    return ", ".join(parts) or "nothing"


def _kinds(files: Sequence[str]) -> str:
    """The number of files with each ending, such as ``40 .txt files, 1 extensionless file``."""
    kinds = Counter(os.path.splitext(name)[1] for name in files).most_common()
    return first_of((f"{count} {_file_of(ending)}{'' if count == 1 else 's'}" for ending, count in kinds), 6)


def _file_of(ending: str) -> str:
    return f"{ending} file" if ending else "extensionless file"
