"""Fingerprints of training data: classes, images and boxes as digests, and the differences of two fingerprints.

A fingerprint does not depend on the place of the data, on the order of boxes within an image, or on the format.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from faster_rcnn.data.records import Dataset, ImageRecord, Split
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.values import cut, first_of
from faster_rcnn.structures import ClassMap
from faster_rcnn.system.files import open_file

_VERSION = 1
"""The version of the JSON form."""
TRAINED_ON = ("train", "val")
"""Splits that influence a trained model: one gives the gradients, the other chooses the best epoch."""


class ImagePrint(NamedTuple):
    """One image of a split, as hexadecimal digests."""

    name: str
    """The name of the image in the data."""
    content: str
    """Digest of the bytes of the image file."""
    boxes: str
    """Digest of the boxes with their flags for ignored regions."""
    truth: str
    """Digest of the boxes with their flags and class ids."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The identity of the data that a run is trained on."""

    classes: tuple[tuple[int, str], ...]
    """Ids and names of the classes, in the order of the labels."""
    splits: Mapping[str, tuple[ImagePrint, ...]]
    """The images of ``train``, and of ``val`` where there is one, in their order."""

    def to_json(self) -> dict[str, Any]:
        """The fingerprint as plain values, with the version of its format."""
        splits = {name: [list(image) for image in images] for name, images in self.splits.items()}
        return {"version": _VERSION, "classes": [list(each) for each in self.classes], "splits": splits}

    def digest(self) -> str:
        """A 128-bit digest of the whole fingerprint, as hexadecimal digits."""
        return hashlib.blake2b(json.dumps(self.to_json()).encode(), digest_size=16).hexdigest()

    @staticmethod
    def from_json(content: object) -> Fingerprint:
        """The fingerprint that ``to_json`` returned as plain values.

        Raises:
            ValueError: the content has another form or version.
        """
        if not isinstance(content, dict) or content.get("version") != _VERSION:
            raise ValueError(f"no record of training data of version {_VERSION}")
        try:
            classes = tuple((int(number), str(name)) for number, name in content["classes"])
            splits = {
                str(split): tuple(ImagePrint(*map(str, image)) for image in images)
                for split, images in content["splits"].items()
            }
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"a record of training data that is incomplete: {cut(repr(error), 200)}") from error
        return Fingerprint(classes, splits)


def fingerprint_of(dataset: Dataset, contents: Mapping[Path, str] | None = None) -> Fingerprint:
    """The fingerprint of the splits that a run is trained on.

    ``contents`` are digests of the files as ``content_digests`` returns them; without it the files are read here.

    Raises:
        DatasetError: an image file can no longer be read (E104).
    """
    used = {name: split.records for name, split in dataset.splits.items() if name in TRAINED_ON}
    if contents is None:
        contents = content_digests(record.path for records in used.values() for record in records)
    return Fingerprint(
        _declared(dataset.classes),
        {
            name: tuple(
                ImagePrint(record.file_name, contents[record.path], *_truth_digests(record, dataset.classes))
                for record in records
            )
            for name, records in used.items()
        },
    )


def split_digest(split: Split) -> str:
    """A 128-bit digest of everything of a split that metrics depend on, but the contents of its image files."""
    digest = hashlib.blake2b(repr((split.name, split.classes)).encode(errors="surrogateescape"), digest_size=16)
    for each in split.records:
        image = each.file_name, each.image_id, each.size, each.areas.tolist(), *_truth_digests(each, split.classes)
        digest.update(repr(image).encode(errors="surrogateescape"))
    return digest.hexdigest()


def content_digests(paths: Iterable[Path]) -> dict[Path, str]:
    """128-bit digests of the bytes of files.

    Raises:
        DatasetError: a file cannot be read (E104).
    """
    return {path: content_digest(path) for path in dict.fromkeys(paths)}


def content_digest(path: Path) -> str:
    """A 128-bit digest of a file's bytes (BLAKE2b); raises ``DatasetError`` (E104) where it cannot be read."""
    try:
        with open_file(path) as stream:
            return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}", code="E104") from error


def _truth_digests(record: ImageRecord, classes: ClassMap) -> tuple[str, str]:
    """Digests of the boxes without and with their classes; neither depends on the order of the boxes."""
    truth = record.truth
    boxes = zip(truth.boxes.tolist(), truth.ignored.tolist(), truth.labels.tolist(), strict=True)
    packed = sorted(
        (struct.pack("<4f?", *corners, ignored), f"{classes.ids[label]};".encode()) for corners, ignored, label in boxes
    )
    return _short_digest(box for box, _ in packed), _short_digest(box + label for box, label in packed)


def _short_digest(parts: Iterable[bytes]) -> str:
    return hashlib.blake2b(b"".join(parts), digest_size=8).hexdigest()


def _declared(classes: ClassMap) -> tuple[tuple[int, str], ...]:
    return tuple((number, classes.name_of(label)) for label, number in enumerate(classes.ids))


def differences(before: Fingerprint, now: Fingerprint) -> tuple[str, ...]:
    """Sentences about the differences between the data of a run and the data that is read now; empty without any."""
    sentences = _class_differences(before.classes, now.classes)
    same_classes = not sentences
    for split in dict.fromkeys((*before.splits, *now.splits)):
        if split not in now.splits:
            sentences.append(f"there is no {split} split any more")
        elif split not in before.splits:
            sentences.append(f"there was no {split} split before")
        else:
            sentences += _image_differences(split, before.splits[split], now.splits[split], same_classes)
    return tuple(sentences)


def _class_differences(before: Sequence[tuple[int, str]], now: Sequence[tuple[int, str]]) -> list[str]:
    old, new = dict(before), dict(now)
    gone, added = set(old.values()) - set(new.values()), set(new.values()) - set(old.values())
    renamed = [number for number in old if old[number] in gone and new.get(number) in added]
    sentences = [f"class {number} was called '{old[number]}' and is called '{new[number]}'" for number in renamed]
    gone -= {old[number] for number in renamed}
    added -= {new[number] for number in renamed}
    sentences += [f"class '{name}' (id {number}) is gone" for number, name in before if name in gone]
    sentences += [f"class '{name}' (id {number}) is new" for number, name in now if name in added]
    ids = {name: number for number, name in now}
    shared = [(number, name) for number, name in before if name in ids]
    names_before = set(old.values())
    # Where classes have no ids of their own, an added or removed class changes the numbers of the others.
    same_order = [name for _, name in shared] == [name for _, name in now if name in names_before]
    moved = [f"'{name}' had id {number} and has {ids[name]}" for number, name in shared if ids[name] != number]
    if moved and not (same_order and (gone or added)):
        sentences.append(f"classes have other ids: {first_of(moved)}")
    return sentences


def _image_differences(
    split: str, before: Sequence[ImagePrint], now: Sequence[ImagePrint], same_classes: bool
) -> list[str]:
    pairs, gone, new = _paired(before, now)
    exchanged = [one.name for old, one in pairs if old.content != one.content]
    moved = [one.name for old, one in pairs if old.boxes != one.boxes]
    relabelled = [one.name for old, one in pairs if old.boxes == one.boxes and old.truth != one.truth]
    found = {
        f"of {len(before)} images of {split} are gone": gone,
        f"of {len(now)} images of {split} are new": new,
        f"of {len(now)} images of {split} have the same name and another content": exchanged,
        f"of {len(now)} images of {split} have other boxes": moved,
        f"of {len(now)} images of {split} have boxes of other classes": relabelled if same_classes else [],
    }
    sentences = [f"{len(names)} {what} ({first_of(names)})" for what, names in found.items() if names]
    if not sentences and [old.content for old in before] != [one.content for one in now]:
        sentences.append(f"the images of {split} are in another order, so batches would be others")
    return sentences


def _paired(
    before: Sequence[ImagePrint], now: Sequence[ImagePrint]
) -> tuple[list[tuple[ImagePrint, ImagePrint]], list[str], list[str]]:
    """Pairs of equal images (by name, or by content where the name changed); removed images; new images."""
    old, new = _by_name(before), _by_name(now)
    pairs = [(old[key], new[key]) for key in old if key in new]
    unpaired: defaultdict[str, deque[ImagePrint]] = defaultdict(deque)
    for key in new:
        if key not in old:
            unpaired[new[key].content].append(new[key])
    gone = []
    for key in old:
        if key in new:
            continue
        if same := unpaired[old[key].content]:
            pairs.append((old[key], same.popleft()))
        else:
            gone.append(old[key].name)
    return pairs, gone, [one.name for left in unpaired.values() for one in left]


def _by_name(images: Sequence[ImagePrint]) -> dict[tuple[str, int], ImagePrint]:
    """Images by name and by number among the images of that name."""
    count: Counter[str] = Counter()
    named = {}
    for image in images:
        count[image.name] += 1
        named[image.name, count[image.name]] = image
    return named
