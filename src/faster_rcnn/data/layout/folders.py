"""Folders and their files: listing, image files by their endings, and hints at names that resemble an absent one."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

_READ = (
    "jpg jpeg jpe jfif mpo png apng bmp dib gif webp tif tiff avif avifs jp2 j2k j2c jpc jpf jpx "
    "ppm pgm pbm pnm tga icb vda vst qoi pcx dcx psd ico icns cur im msp xbm xpm "
    "sgi bw rgb rgba ras pxr dds blp ftc ftu gbr fits fit"
)
IMAGE_SUFFIXES = frozenset(f".{ending}" for ending in _READ.split())
"""Endings of the pictures that Pillow reads; a decoder that an old Pillow lacks is reported when a file is opened.

Left out, although Pillow has plugins for them: films (MPEG, FLI), pages (PDF, EPS), vector graphics (WMF), containers
without a decoder (HDF5, GRIB, BUFR, IPTC), depth maps in floats (PFM), and ``.pcd``, which beside images is a cloud of
points.
"""

_NOT_READ = (
    "heic heif hif jxl jxr wdp exr hdr pfm dcm svg svgz eps ai wmf emf xcf kra cdr "
    "dng cr2 cr3 crw nef nrw arw srf sr2 raf orf rw2 pef srw x3f 3fr erf kdc mrw raw"
)
UNREAD_SUFFIXES = frozenset(f".{ending}" for ending in _NOT_READ.split())
"""Endings of pictures that are not read: Apple's HEIC, JPEG XL, floats, drawings, and the raw files of cameras."""


ENDINGS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".jif"),
    "MPO": (".jpg", ".jpeg", ".mpo"),
    "PNG": (".png", ".apng"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
"""Usual endings of the types that are mistaken for each other; the first one is written."""


def is_hidden(name: str) -> bool:
    """Whether a file or folder is skipped: ``.ipynb_checkpoints``, or the ``._0.jpg`` that macOS leaves."""
    return name.startswith(".")


def is_picture(name: str) -> bool:
    """Whether a file name has the ending of a picture that is read; hidden files are no pictures."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not is_hidden(name)


def unread_pictures(names: Iterable[str]) -> list[str]:
    """The file names with the ending of a picture of a kind that is not read, sorted."""
    return sorted(
        name for name in names if os.path.splitext(name)[1].lower() in UNREAD_SUFFIXES and not is_hidden(name)
    )


class Folders:
    """A cache of folder listings, so that a hundred thousand images cost a few listings and no single checks."""

    def __init__(self) -> None:
        """Start with an empty cache."""
        self._names: dict[str, frozenset[str]] = {}
        self._alike: dict[str, tuple[dict[str, str], dict[str, str]]] = {}

    def names(self, folder: Path) -> frozenset[str]:
        """Names in a folder; empty where the folder does not exist."""
        return self._listed(str(folder))

    def has(self, path: Path) -> bool:
        """Whether a file of exactly this name exists, also on systems that ignore letter case."""
        folder, name = os.path.split(path)  # a ``Path`` of each folder would cost more than everything else
        return name in self._listed(folder or ".")

    def _listed(self, folder: str) -> frozenset[str]:
        if folder not in self._names:
            try:
                with os.scandir(folder) as entries:
                    self._names[folder] = frozenset(entry.name for entry in entries)
            except (OSError, ValueError):  # ValueError: a name that no file system takes
                self._names[folder] = frozenset()
        return self._names[folder]

    def images(self, folder: Path) -> list[str]:
        """Names of the image files in a folder, sorted; without hidden ones."""
        return sorted(name for name in self.names(folder) if is_picture(name))

    def below(self, folder: Path) -> list[Path]:
        """The folders below a folder at any depth, sorted; hidden folders and links to folders are not entered."""
        return sorted(Path(place) / name for place, inside, _ in walk(folder) for name in inside)

    def hint(self, path: Path) -> str:
        """A hint at an existing file that resembles an absent one: `` (a file 'a.jpg' exists: ...)``, or empty."""
        folder, absent = os.path.split(path)
        if folder not in self._alike:
            names = sorted(self._listed(folder or "."), reverse=True)  # so that the first of several is kept
            stems = {os.path.splitext(name)[0]: name for name in names if is_picture(name)}
            self._alike[folder] = {name.lower(): name for name in names}, stems
        by_letters, by_stem = self._alike[folder]
        if (name := by_letters.get(absent.lower())) is not None:
            return f" (a file '{name}' exists: letter case?)"
        if (name := by_stem.get(os.path.splitext(absent)[0])) is not None:
            return f" (a file '{name}' exists: another ending)"
        return ""


def walk(root: str | Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Folders from a root on, as (path, names of folders, names of files); hidden folders are skipped.

    Links to folders are named and not entered. ``os.walk`` recurses at each level, so Python's stack would overflow in
    folders of a thousand levels.
    """
    waiting = [str(root)]
    while waiting:
        place = waiting.pop()
        entries = _entries(place)
        folders = [entry for entry in entries if _is_folder(entry) and not is_hidden(entry.name)]
        yield place, [entry.name for entry in folders], [entry.name for entry in entries if not _is_folder(entry)]
        waiting += [entry.path for entry in folders if not entry.is_symlink()]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link to one; a link to itself is neither."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def file_kinds(root: Path, max_folders: int = 1000) -> Counter[str]:
    """The number of files below a root by their endings in lower case, in at most so many folders."""
    places = islice(walk(root), max_folders)
    return Counter(os.path.splitext(name)[1].lower() or name for _, _, files in places for name in files)


def _entries(place: str) -> list[os.DirEntry[str]]:
    """Entries of a folder; empty where it may not be read, or its path is longer than the system allows."""
    try:
        with os.scandir(place) as entries:
            return list(entries)
    except OSError:
        return []


def child(folder: Path, *names: str) -> Path | None:
    """The entry of a folder with the first of these names that exists, in any letter case; ``None`` without one."""
    lowered = [name.lower() for name in names]
    found = {name.lower(): name for name in _names_of(folder)}
    return next((folder / found[name] for name in lowered if name in found), None)


def entries_of(folder: Path) -> list[Path]:
    """Entries of a folder, sorted, without hidden ones; empty where it is no folder."""
    return [folder / name for name in _names_of(folder)]


def files_of(folder: Path, suffix: str) -> list[Path]:
    """Files of a folder with this ending (``.xml``), sorted."""
    return [folder / name for name in names_of(folder, suffix)]


def names_of(folder: Path, suffix: str) -> list[str]:
    """Names of the files of a folder with this ending, sorted; faster than paths for a hundred thousand files."""
    return [name for name in _names_of(folder) if name.lower().endswith(suffix)]


def folders_of(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones; empty where it is no folder."""
    try:
        with os.scandir(folder) as entries:  # gives the kinds of most entries without a system call for each
            names = sorted(entry.name for entry in entries if not is_hidden(entry.name) and entry.is_dir())
    except OSError:
        return []
    return [folder / name for name in names]


def _names_of(folder: Path) -> list[str]:
    # Names are sorted rather than paths, whose comparison takes a hundred times as long.
    return sorted(name for name in os.listdir(folder) if not is_hidden(name)) if os.path.isdir(folder) else []


def nearby(path: Path) -> str:
    """Existing names that resemble an absent one: `` Nearby: train_v2.json.``, or empty."""
    close = difflib.get_close_matches(path.name, _names_of(path.parent), n=3, cutoff=0.5)
    return f" Nearby: {', '.join(close)}." if close else ""
