"""Finds the image that a path in a results file means."""

from __future__ import annotations

import filecmp
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, takewhile
from pathlib import Path

from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.values import cut
from faster_rcnn.structures import ImageSize
from faster_rcnn.system.files import MAX_PATH


@dataclass(frozen=True, slots=True)
class NamedImage:
    """A measured image with all its names."""

    image_id: int | str
    path: Path
    size: ImageSize
    """Upright, in pixels."""


def positions_of(names: Sequence[str], images: Sequence[NamedImage]) -> list[int | None]:
    """The position of the image that each name means, ``None`` for a name of no image.

    Names were written earlier, perhaps in another folder or on another machine, so the longest common end of the paths
    decides. A letter with its accent is the same in one character or in two. Where the named file still exists, it must
    have the same content.

    Raises:
        DatasetError: a name fits several images equally well (E138).
    """
    by_end = _positions_by_end(images)
    return [_position(name, images, by_end) for name in names]


def _positions_by_end(images: Sequence[NamedImage]) -> dict[str, list[int]]:
    """Positions by file name, and by every end of the absolute paths of images that share their file name."""
    paths = [_parts(str(image.path.absolute())) for image in images]
    count = Counter(parts[-1] for parts in paths)
    by_end: dict[str, list[int]] = defaultdict(list)
    for position, parts in enumerate(paths):
        for end in _ends(parts if count[parts[-1]] > 1 else parts[-1:]):
            by_end[end].append(position)
    return by_end


def _position(name: str, images: Sequence[NamedImage], by_end: dict[str, list[int]]) -> int | None:
    *_, longest = ["", *takewhile(by_end.__contains__, _ends(_parts(name)))]
    best = [position for position in by_end.get(longest, []) if not _differs(Path(name), images[position].path)]
    if len(best) > 1:
        raise DatasetError(
            f"image '{cut(name, 300)}' of the results fits both {images[best[0]].path} and {images[best[1]].path}; "
            "name it with more of its path, as predict --json does",
            code="E138",
        )
    return best[0] if best else None


def _parts(name: str) -> list[str]:
    # No path is longer, and composing very many accents of one letter takes long.
    return unicodedata.normalize("NFC", name[-MAX_PATH:]).replace("\\", "/").rstrip("/").split("/")


def _ends(parts: list[str]) -> Iterator[str]:
    """The last part of a path, the last two, the last three, ..."""
    return accumulate(reversed(parts), lambda end, part: f"{part}/{end}")


def _differs(named: Path, image: Path) -> bool:
    """Whether both files exist and have different contents, such as 0001.jpg of another split."""
    try:
        if not (named.is_file() and image.is_file()) or named.samefile(image):
            return False
    except (OSError, ValueError):  # a name that no file of this machine can have
        return False
    return not filecmp.cmp(named, image, shallow=False)
