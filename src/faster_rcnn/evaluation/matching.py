"""Which image a path in a results file means."""

from __future__ import annotations

import filecmp
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from faster_rcnn.errors import DatasetError
from faster_rcnn.structures import ImageSize


@dataclass(frozen=True, slots=True)
class NamedImage:
    """An image that is measured, by all its names."""

    image_id: int | str
    path: Path
    size: ImageSize
    """Upright, in pixels."""


def positions_of(names: Sequence[str], images: Sequence[NamedImage]) -> list[int | None]:
    """For each name the position of its image, ``None`` where it is none of them.

    Names were written on another day, perhaps in another folder or on another machine, so the longest common end of
    the paths decides. A letter with its accent is the same in one character or in two. Where the named file is still
    there, it must be the same picture.

    Raises:
        DatasetError: a name fits several images equally well.
    """
    same_name: dict[str, list[int]] = defaultdict(list)
    for position, image in enumerate(images):
        same_name[_parts(image.path.name)[-1]].append(position)
    return [_position(name, images, same_name.get(_parts(name)[-1], [])) for name in names]


def _position(name: str, images: Sequence[NamedImage], candidates: list[int]) -> int | None:
    if not candidates:
        return None
    common = [_common_end(_parts(name), _parts(str(images[position].path.absolute()))) for position in candidates]
    best = [position for position, length in zip(candidates, common, strict=True) if length == max(common)]
    best = [position for position in best if not _differs(Path(name), images[position].path)]
    if len(best) > 1:
        raise DatasetError(f"image '{name}' of the results fits both {images[best[0]].path} and {images[best[1]].path}")
    return best[0] if best else None


def _parts(name: str) -> list[str]:
    return unicodedata.normalize("NFC", name).replace("\\", "/").rstrip("/").split("/")


def _common_end(a: list[str], b: list[str]) -> int:
    pairs = list(zip(reversed(a), reversed(b), strict=False))
    return next((length for length, (one, other) in enumerate(pairs) if one != other), len(pairs))


def _differs(named: Path, image: Path) -> bool:
    """Whether both files are there and are different pictures, such as 0001.jpg of another split."""
    try:
        if not (named.is_file() and image.is_file()) or named.samefile(image):
            return False
    except (OSError, ValueError):  # a name that this machine has no files for
        return False
    return not filecmp.cmp(named, image, shallow=False)
