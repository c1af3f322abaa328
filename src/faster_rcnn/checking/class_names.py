"""The classes of all splits, joined by their names, and everything on which splits, names and ids disagree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from faster_rcnn.checking.finding import Finding
from faster_rcnn.data.classes import folded, is_background, is_parent
from faster_rcnn.data.layout.listing import Listing
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.values import cut, first_of
from faster_rcnn.structures import ClassMap
from faster_rcnn.system.wording import count_of

Key = int | str
"""What a box has for its class: an id, or a name where the format has no ids."""


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """The classes of a data set, without contradictions."""

    map: ClassMap
    labels: dict[str, dict[Key, int]]
    """For each split the label of each key; a key without a label is of no class."""
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Named:
    """One name of one split, with its key."""

    split: str
    key: Key
    name: str
    boxes: int


def class_names(listings: Mapping[str, Listing]) -> Classes:
    """Join the classes of all splits by their names; raises ``DatasetError`` where there is no class at all."""
    used = sum((_boxes(listing) for listing in listings.values()), Counter[Key]())
    named = [one for listing in listings.values() for one in _names(listing, used)]
    named, skipped = _without_background(named)
    findings = [*skipped, *_repeated(listings), *_two_names(named), *_two_ids(named), *_other_ids(named)]
    groups: dict[str, list[_Named]] = defaultdict(list)
    for one in named:
        groups[folded(one.name)].append(one)
    chosen = {fold: _spelling(group) for fold, group in groups.items()}
    findings += [_spelled(chosen[fold], group) for fold, group in groups.items() if len(_spellings(group)) > 1]
    findings += _in_one_split(groups, chosen, listings)
    by_names = all(listing.categories is None for listing in listings.values())
    if by_names and "train" in listings:  # boxes define the classes, so others than those of train cannot be declared
        groups = {fold: group for fold, group in groups.items() if any(one.split == "train" for one in group)}
    if not groups:
        raise DatasetError(f"{next(iter(listings.values())).source} has no classes: nothing to train on", code="E115")
    classes = _class_map(groups, chosen, by_names)
    place = {folded(classes.name_of(label)): label for label in range(len(classes))}
    labels: dict[str, dict[Key, int]] = {split: {} for split in listings}
    for one in named:
        if (label := place.get(folded(one.name))) is not None:
            labels[one.split].setdefault(one.key, label)
    return Classes(classes, labels, (*findings, *_undeclared(listings, named)))


def _names(listing: Listing, used: Counter[Key]) -> list[_Named]:
    """The declared classes of a split, or those of its boxes where none are declared; never an unused parent.

    ``used`` counts the boxes of all splits: a parent that has boxes in one of them is a class in all.
    """
    own = _boxes(listing)
    if listing.categories is None:
        return [_Named(listing.split, key, str(key), count) for key, count in own.items() if key != ""]
    return [
        _Named(listing.split, number, name, own[number])
        for number, name in dict.fromkeys(listing.categories)
        if used[number] or not is_parent(number, name, listing)
    ]


def _boxes(listing: Listing) -> Counter[Key]:
    """The number of boxes of each class."""
    return Counter(box.category for image in listing.images for box in image.boxes)


def _without_background(named: Sequence[_Named]) -> tuple[list[_Named], list[Finding]]:
    background = [one for one in named if is_background(one.name)]
    findings = []
    for one in background:
        if one.boxes:
            record, value = f"class '{cut(one.name)}'", count_of(one.boxes, "box", "boxes")
            findings.append(Finding("class.background", one.split, "", record, value, "the boxes are dropped"))
    return [one for one in named if one not in background], findings


def _repeated(listings: Mapping[str, Listing]) -> Iterator[Finding]:
    """Entries of the list of classes that occur several times, word for word."""
    for split, listing in listings.items():
        for (number, name), count in Counter(listing.categories or ()).items():
            if count > 1:
                value = f"{count} entries with the id {number}"
                yield Finding("class.name-twice", split, "", f"class '{cut(name)}'", value, "one entry stays")


def _two_names(named: Sequence[_Named]) -> Iterator[Finding]:
    for (split, key), group in _grouped(named, lambda one: (one.split, one.key)).items():
        if len(names := {folded(one.name): one.name for one in group}) > 1:
            yield Finding("class.id-twice", split, "", f"class id {key}", f"the names {first_of(names.values())}")


def _two_ids(named: Sequence[_Named]) -> Iterator[Finding]:
    for (split, name), group in _grouped(named, lambda one: (one.split, one.name)).items():
        if len(keys := sorted({one.key for one in group}, key=str)) > 1:
            change = f"all boxes get the id {keys[0]}"
            yield Finding(
                "class.name-twice", split, "", f"class '{cut(str(name))}'", f"the ids {first_of(keys)}", change
            )


def _other_ids(named: Sequence[_Named]) -> Iterator[Finding]:
    """Ids of a class that the first split with the class does not give it."""
    first: dict[str, str] = {}
    given: dict[str, list[Key]] = defaultdict(list)
    for one in named:
        fold = folded(one.name)
        if isinstance(one.key, str):
            continue
        if first.setdefault(fold, one.split) == one.split:
            given[fold].append(one.key)
        elif one.key not in given[fold]:
            record, value = f"class '{cut(one.name)}'", f"the id {one.key}, in {first[fold]} {given[fold][0]}"
            change = f"the class has the id {given[fold][0]} in both"
            yield Finding("class.ids-differ", one.split, "", record, value, change)


def _grouped(named: Sequence[_Named], key: Callable[[_Named], tuple[str, Key]]) -> dict[tuple[str, Key], list[_Named]]:
    groups: dict[tuple[str, Key], list[_Named]] = defaultdict(list)
    for one in named:
        groups[key(one)].append(one)
    return groups


def _spellings(group: Sequence[_Named]) -> Counter[str]:
    counts = Counter[str]()
    for one in group:
        counts[one.name] += one.boxes
    return counts


def _spelling(group: Sequence[_Named]) -> str:
    """The spelling with most boxes, without blanks around it."""
    return " ".join(_spellings(group).most_common(1)[0][0].split())


def _spelled(chosen: str, group: Sequence[_Named]) -> Finding:
    spellings = _spellings(group).most_common(5)
    counts = ", ".join(f"'{cut(name)}' {count_of(count, 'box', 'boxes')}" for name, count in spellings)
    splits = first_of(dict.fromkeys(one.split for one in group))
    return Finding("class.spelling", splits, "", f"class '{cut(chosen)}'", counts, f"all are '{cut(chosen)}'")


def _in_one_split(
    groups: Mapping[str, Sequence[_Named]], chosen: Mapping[str, str], listings: Mapping[str, Listing]
) -> Iterator[Finding]:
    """Declared classes that a split lacks; where boxes define the classes, those that train lacks.

    Where train lacks a class, that is the only finding about it.
    """
    for fold, group in groups.items():
        there = {one.split for one in group}
        lacking = [split for split in listings if split not in there]
        for split in lacking[:1] if "train" in lacking else lacking:
            by_boxes = listings[split].categories is None
            if by_boxes and split != "train":
                continue
            stops_training = split == "train" or (split == "val" and "train" in there)
            boxes = sum(one.boxes for one in group)
            change = "the boxes of the class are dropped" if by_boxes else "the class is declared in all splits"
            lacks = "has no box of it" if by_boxes else "does not declare it"
            value = f"{split} {lacks}: {count_of(boxes, 'box', 'boxes')} in {first_of(sorted(there))}"
            kind = "class.one-split" if stops_training else "class.not-in-test"
            yield Finding(kind, split, "", f"class '{cut(chosen[fold])}'", value, change)


def _class_map(groups: Mapping[str, Sequence[_Named]], chosen: Mapping[str, str], by_names: bool) -> ClassMap:
    """Names in the order of their ids, which are those of the first split that has them; else in their own order."""
    if by_names:
        names = sorted(chosen[fold] for fold in groups)
        return ClassMap(tuple(names), tuple(range(1, len(names) + 1)))
    taken: dict[int, str] = {}
    later = []
    for fold, group in groups.items():
        number = next(one.key for one in group)
        if isinstance(number, int) and number not in taken:
            taken[number] = chosen[fold]
        else:
            later.append(chosen[fold])
    for name in later:
        taken[max(taken, default=0) + 1] = name
    return ClassMap(tuple(taken[number] for number in sorted(taken)), tuple(sorted(taken)))


def _undeclared(listings: Mapping[str, Listing], named: Sequence[_Named]) -> Iterator[Finding]:
    """Boxes whose class id no split of theirs declares; those of the background are findings already."""
    known = {(one.split, one.key) for one in named}
    for split, listing in listings.items():
        if listing.categories is None:
            continue
        background = {number for number, name in listing.categories if is_background(name)}
        declared = first_of(sorted(dict(listing.categories)), 8)
        for image, box in ((each, box) for each in listing.images for box in each.boxes):
            if (split, box.category) not in known and box.category not in background:
                record = f"{image.annotation} {box.where}"
                value = f"class {cut(str(box.category))}; declared are {declared}"
                yield Finding(
                    "class.undeclared", split, image.file_name, record, value, "the box is dropped", image.path
                )
