"""Images in buckets and on other file systems that pyarrow reads: s3://, gs://, abfs://, hdfs://, file://."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TypeVar

from faster_rcnn.data.layout.folders import is_picture
from faster_rcnn.data.opening import NamedBytes
from faster_rcnn.errors import ImageError, MachineError, MissingExtraError, OptionError
from faster_rcnn.inference.prefetch import map_concurrently
from faster_rcnn.inference.sources import URL

try:
    import pyarrow as pa
    from pyarrow import fs
except ImportError as error:
    raise MissingExtraError("pyarrow", "ray") from error

SECONDS_FOR_AN_ANSWER = 25.0
"""Time for the first answer of a file system. Amazon's client gives up after 6 s, Google's only after 15 minutes."""

CONCURRENT_READS = 8
"""Files of a bucket that one process reads concurrently: a read is mostly waiting."""

_MAGIC = re.compile(r"[*\[]")
_SECRET = re.compile(r"(?<=://)[^/@]*:[^/@]*@")

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """A folder, or a single file, of another file system."""

    uri: str
    """The address that pyarrow opens, with its options, such as ``s3://photos/2024?region=eu-central-1``."""
    shown: str
    """The address without options and passwords, with which the names of its images begin."""
    path: str
    """The same place within the file system."""

    def path_of(self, name: str) -> str:
        """The path of an image within the file system."""
        return self.path + name[len(self.shown) :]


@dataclass(frozen=True, slots=True)
class RemoteImages:
    """The images of one source."""

    folder: RemoteFolder
    names: tuple[str, ...]


def is_remote(source: str) -> bool:
    """Whether a source is an address such as ``s3://photos/2024``."""
    return URL.match(source) is not None


def find_remote(source: str) -> RemoteImages:
    """List the images of a file, of a folder without the folders in it, or of a pattern with ``*``, ``**`` or ``[]``.

    Raises:
        OptionError: no such kind of file system is known, or the source holds no image (E122).
        MachineError: the file system does not answer, or refuses.
    """
    address, _, query = source.partition("?")
    shown = _SECRET.sub("", address).rstrip("/")
    root = address[: magic.start()].rpartition("/")[0] if (magic := _MAGIC.search(address)) else address
    uri = root.replace(" ", "%20") + (f"?{query}" if query else "")
    system, path, info = _answer(lambda: _opened(uri), shown)
    folder = RemoteFolder(uri, _SECRET.sub("", root).rstrip("/"), path.rstrip("/"))
    if info.type == fs.FileType.NotFound:
        raise OptionError(f"no images match '{shown}' (there is no such file)", code="E122")
    if info.type == fs.FileType.File:
        return RemoteImages(folder, (folder.shown,))
    below = address[len(root) :].strip("/") if magic else "*"
    wanted = _regex(below)
    selector = fs.FileSelector(path, recursive="/" in below or "**" in below)
    files = _failing_as(lambda: system.get_file_info(selector), shown)
    inside = (each.path[len(folder.path) :].lstrip("/") for each in files if each.type == fs.FileType.File)
    names = sorted(name for name in inside if wanted.fullmatch(name) and is_picture(name.rpartition("/")[2]))
    if not names:
        raise OptionError(f"no images match '{shown}' (it holds {len(files)} other files and folders)", code="E122")
    return RemoteImages(folder, tuple(f"{folder.shown}/{name}" for name in names))


class ImageReader:
    """Reads the images that a command names, in any process: a file of this machine is given by its path."""

    def __init__(self, folders: Sequence[RemoteFolder]) -> None:
        """Remember the folders of other file systems; nothing is opened yet."""
        self.folders = sorted(folders, key=lambda each: -len(each.shown))
        self._systems: dict[str, fs.FileSystem] = {}

    def read_all(self, names: Sequence[str]) -> Iterator[Path | bytes | ImageError]:
        """Read images in their order, some of them in advance; an error stands for one that cannot be read."""
        if not any(map(is_remote, names)):
            return iter(map(Path, names))
        return map_concurrently(names, self.read, CONCURRENT_READS)

    def read(self, name: str) -> Path | bytes | ImageError:
        """Read one image."""
        if not is_remote(name):
            return Path(name)
        folder = next(each for each in self.folders if name.startswith(each.shown))
        try:
            with self._system(folder).open_input_file(folder.path_of(name)) as file:
                return NamedBytes(file.read(), name)
        except (OSError, pa.ArrowException) as error:
            return ImageError(f"cannot read {name}: {_first_line(error)}", code="E104")

    def _system(self, folder: RemoteFolder) -> fs.FileSystem:
        if folder.uri not in self._systems:
            self._systems[folder.uri] = fs.FileSystem.from_uri(folder.uri)[0]
        return self._systems[folder.uri]

    def __reduce__(self) -> tuple[type[ImageReader], tuple[list[RemoteFolder]]]:
        """Pickle the addresses; each process opens them for itself."""
        return ImageReader, (self.folders,)


def _opened(uri: str) -> tuple[fs.FileSystem, str, fs.FileInfo]:
    system, path = fs.FileSystem.from_uri(uri)
    return system, path, system.get_file_info(path)


def _answer(work: Callable[[], Answer], shown: str) -> Answer:
    """Wait for a first answer, but not for ever; the thread that waits on is ended with the process."""
    found: list[Answer | Exception] = []

    def run() -> None:
        try:
            found.append(_failing_as(work, shown))
        except Exception as error:  # noqa: BLE001  # raised again in the caller's thread
            found.append(error)

    thread = Thread(target=run, name="faster-rcnn-first-answer", daemon=True)
    thread.start()
    thread.join(SECONDS_FOR_AN_ANSWER)
    if not found:
        raise MachineError(
            f"{shown} does not answer within {SECONDS_FOR_AN_ANSWER:g} s; nothing was predicted. Check the connection "
            "and the name, and run the command again"
        )
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def _failing_as(work: Callable[[], Answer], shown: str) -> Answer:
    """Do some work with a file system, and turn its errors into ours."""
    try:
        return work()
    except pa.ArrowInvalid as error:
        if "Unrecognized filesystem" not in str(error):
            raise MachineError(f"{shown} cannot be read: {_first_line(error)}; nothing was predicted") from error
        raise OptionError(
            f"no images match '{shown}' (addresses are read that begin with s3, gs, abfs, hdfs or file; download the "
            "images first)",
            code="E122",
        ) from error
    except (OSError, pa.ArrowException) as error:
        raise MachineError(
            f"{shown} cannot be read: {_first_line(error)}; nothing was predicted. Check the connection, the name and "
            "the credentials, and run the command again"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _regex(pattern: str) -> re.Pattern[str]:
    """A pattern of paths, in which ``**/`` is any folders, ``*`` any letters of a name, and ``[]`` one of some."""
    parts = re.split(r"(\*\*/|\*|\[[^\]]+\])", pattern)
    kinds = {"**/": "(?:.*/)?", "*": "[^/]*"}
    return re.compile("".join(kinds.get(each, each if each.startswith("[") else re.escape(each)) for each in parts))
