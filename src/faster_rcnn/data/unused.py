"""Lines about pictures of a data set that are not used, and about used pictures outside of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from faster_rcnn.data.layout.folders import Folders, is_picture, unread_pictures, walk
from faster_rcnn.data.layout.image_folders import OF_ANNOTATIONS
from faster_rcnn.data.layout.listing import Listing
from faster_rcnn.parsing.values import first_of

_MAX_FOLDERS = 10_000
"""Maximum number of folders that are searched: the folder of a data set may hold a whole disk."""


def unused_pictures(root: Path, whole: bool, listings: Iterable[Listing], folders: Folders) -> list[str]:
    """Lines about pictures that no annotation mentions, and about pictures of kinds that are not read.

    The folders of the images are searched, and with ``whole`` the folder of the data set with all folders in it.
    """
    used = _used_names(listings)
    names = {folder: folders.names(Path(folder)) for folder in used}
    if whole:
        names |= dict(islice(_below(os.path.abspath(root)), _MAX_FOLDERS))
    unmentioned, unread = [], []
    for folder, inside in sorted(names.items()):
        shown = os.path.relpath(folder, root)
        prefix = "" if shown == "." else f"{shown}/"
        mentioned = used.get(folder, set())
        unmentioned += [f"{prefix}{name}" for name in sorted(inside - mentioned) if is_picture(name)]
        unread += [f"{prefix}{name}" for name in unread_pictures(inside - mentioned)]
    return _lines(unmentioned, unread)


def outside_pictures(root: Path, listing: Listing, folders: Folders) -> list[str]:
    """A line about used pictures outside of the data set, where absolute paths or ``..`` lead to."""
    home = os.path.abspath(root.parent if root.name.lower() in OF_ANNOTATIONS else root)
    outside = [
        os.path.join(folder, name)
        for folder, used in _used_names([listing]).items()
        if os.path.commonpath([folder, home]) != home
        for name in sorted(used & folders.names(Path(folder)))
    ]
    if not outside:
        return []
    return [f"pictures of {listing.split} that lie outside of {home}: {len(outside)} ({first_of(outside, 3)})"]


def _lines(unmentioned: list[str], unread: list[str]) -> list[str]:
    lines = []
    if unmentioned:
        lines.append(f"pictures that no annotation mentions, not used: {len(unmentioned)} ({first_of(unmentioned)})")
    if unread:
        kinds = Counter(os.path.splitext(name)[1].lower() for name in unread)
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        lines.append(
            f"pictures of kinds that are not read, not used: {counts} ({first_of(unread)}); convert them to JPEG or PNG"
        )
    return lines


def _used_names(listings: Iterable[Listing]) -> dict[str, set[str]]:
    """Names of the images that are used, by the absolute path of their folder."""
    names: dict[str, set[str]] = {}
    absolute: dict[str, set[str]] = {}
    for listing in listings:
        for image in listing.images:
            folder, name = os.path.split(image.path)
            names.setdefault(folder, set()).add(name)
    for folder, inside in names.items():
        absolute.setdefault(os.path.abspath(folder), set()).update(inside)
    return absolute


def _below(root: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Folders below a root with the names of their files; hidden folders are not entered."""
    return ((place, frozenset(files)) for place, _, files in walk(root))
