"""Images that occur twice: byte for byte, or nearly, within a split or across splits.

Near copies (another size, compression or brightness) have nearly the same difference hash. Two images of few details
may have it by chance, so each pair is confirmed by the pixels of a thumbnail.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from faster_rcnn.checking.finding import Finding
from faster_rcnn.checking.image_faults import Usable
from faster_rcnn.checking.pictures import SIDE
from faster_rcnn.data.finding import ORDER

MAX_BITS = 6
"""Bits of 64 in which the hashes of near copies may differ; those of two photographs differ in some 30."""
MIN_CORRELATION = 0.98
"""Correlation of the thumbnails of near copies."""
FLAT = 2.0
"""Standard deviation of grey values below which an image has nothing to correlate."""
MAX_PROPORTION = 1.03
"""Largest quotient of the proportions of near copies."""
BLOCK = 2048
"""Images that are compared with all others at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """An image of a split."""

    split: str
    one: Usable

    @property
    def name(self) -> str:
        """Split and file name."""
        return f"{self.split} {self.one.image.file_name}"


def duplicates(members: Sequence[Member]) -> tuple[list[Finding], set[int]]:
    """Findings about copies, and the indices of the images that are left out for them.

    ``members`` are in the order train, val, test: of two splits that share an image the earlier one loses it, so that
    what measures stays as it is. Of two copies in one split the one with more boxes stays. Near copies within a split
    stay.
    """
    findings: list[Finding] = []
    dropped: set[int] = set()
    for group in _equal(members):
        kept = max(group, key=lambda index: (_place(members, index), len(members[index].one.image.boxes), -index))
        for index in group:
            if index != kept:
                dropped.add(index)
                findings.append(_about(members, index, kept, "within", "across", "the bytes of"))
    rest = [index for index in range(len(members)) if index not in dropped]
    near: set[int] = set()
    for first, second in _near(members, rest):
        across = members[first].split != members[second].split
        if (across and first in dropped) or (not across and second in near):
            continue
        if across:
            dropped.add(first)
        else:
            near.add(second)
        index, other = (first, second) if across else (second, first)
        findings.append(_about(members, index, other, "near", "near-across", "nearly equals"))
    return findings, dropped


def _place(members: Sequence[Member], index: int) -> int:
    return ORDER.index(members[index].split)


def _about(members: Sequence[Member], index: int, other: int, within: str, across: str, words: str) -> Finding:
    member, same = members[index], members[index].split == members[other].split
    differ = member.one.image.boxes and len(member.one.image.boxes) != len(members[other].one.image.boxes)
    labels = "; their numbers of boxes differ" if differ else ""
    return Finding(
        f"duplicate.{within if same else across}",
        member.split,
        member.one.image.file_name,
        "",
        f"{words} {members[other].name}{labels}",
        None if same and within == "near" else f"the image is left out of {member.split}",
        member.one.image.path,
        other=members[other].one.image.path,
    )


def _equal(members: Sequence[Member]) -> list[list[int]]:
    groups: dict[bytes, list[int]] = defaultdict(list)
    for index, member in enumerate(members):
        groups[member.one.picture.digest].append(index)
    return [group for group in groups.values() if len(group) > 1]


def _near(members: Sequence[Member], places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Pairs of near copies among some members, the earlier one first."""
    pictures = [members[place].one.picture for place in places]
    hashes = np.asarray([each.hash for each in pictures], dtype=np.uint64)
    signs = np.unpackbits(hashes.astype(">u8").view(np.uint8)).reshape(-1, 64).astype(np.float32) * 2 - 1
    for start in range(0, len(places), BLOCK):
        # The product of two rows of signs is 64 less twice the number of bits in which they differ.
        alike = signs[start : start + BLOCK] @ signs[start:].T >= 64 - 2 * MAX_BITS
        for row, column in zip(*np.nonzero(np.triu(alike, 1)), strict=True):
            first, second = start + int(row), start + int(column)
            if _confirmed(members[places[first]].one, members[places[second]].one):
                yield places[first], places[second]


def _confirmed(one: Usable, other: Usable) -> bool:
    """Whether two images have the same proportions and the same thumbnail, but for brightness and contrast."""
    proportions = sorted(each.size.width / each.size.height for each in (one, other))
    if proportions[1] / proportions[0] > MAX_PROPORTION:
        return False
    first, second = (
        np.frombuffer(each.picture.thumbnail, dtype=np.uint8).astype(np.float32).reshape(SIDE * SIDE)
        for each in (one, other)
    )
    deviations = float(first.std()), float(second.std())
    if max(deviations) < FLAT:
        return bool(np.abs(first - second).mean() < 1)
    if min(deviations) < FLAT:
        return False
    correlation = float(((first - first.mean()) * (second - second.mean())).mean()) / (deviations[0] * deviations[1])
    return correlation >= MIN_CORRELATION
