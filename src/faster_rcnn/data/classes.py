"""The class map of a data set: from the ids or names in its files to labels 0..K-1, the same for all splits.

Ids may be any numbers, with holes, in any order. Background is built into the detector and is never a class.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from faster_rcnn.data.layout.listing import Listing
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.values import cut, first_of
from faster_rcnn.structures import ClassMap


def agree(listings: Sequence[Listing]) -> tuple[ClassMap, tuple[str, ...]]:
    """The classes that all splits agree on, sorted by id (by name where there are only names), and notes on them.

    Raises:
        DatasetError: splits differ (E116), an undeclared class is used (E112), a name or id occurs twice (E113),
            ``background`` is used as a class (E114), or there is no class at all (E115).
    """
    used = Counter(box.category for listing in listings for image in listing.images for box in image.boxes)
    if listings[0].categories is None:
        names, notes = _names_in_use(listings)
        classes = ClassMap(tuple(names), tuple(range(1, len(names) + 1)))
    else:
        declared = [_declared(listing, used) for listing in listings]
        _refuse_different(listings, declared)
        classes = _class_map(declared[0])
        notes = _skipped(listings[0], classes)
        for listing in listings:
            _refuse_undeclared(listing, classes)
        notes += _unlearnt(listings, classes)
    if not len(classes):
        _refuse_unread(listings[0])
        raise DatasetError(f"{listings[0].source} has no classes: nothing to train on", code="E115")
    _refuse_background(classes, used, listings)
    return classes, (*notes, *_alike(classes))


def _refuse_unread(listing: Listing) -> None:
    """Stop where boxes define the classes and no annotation could be read; the message gives the first reason."""
    faults = [image.fault for image in listing.images if image.fault is not None]
    if listing.categories is None and faults and len(faults) == len(listing.images):
        first = faults[0]
        raise DatasetError(
            f"none of the {len(faults)} images of {listing.split} can be used: {first.text}", code=first.code
        )


def labels_of(classes: ClassMap, listing: Listing) -> dict[int | str, int]:
    """Labels by the key that the boxes of a listing have for their class: an id, or a name."""
    keys: Sequence[int | str | None] = classes.names if listing.categories is None else classes.ids
    return {key: label for label, key in enumerate(keys) if key is not None}


def folded(name: str) -> str:
    """The name without what letter case and blanks make of it."""
    return " ".join(name.split()).casefold()


def is_background(name: str | None) -> bool:
    """Whether a class is that of every place without an object, in any spelling."""
    return name is not None and folded(name) in ("background", "__background__", "_background_")


def is_parent(number: int, name: str, listing: Listing) -> bool:
    """Whether a declared class is Roboflow's parent of all classes, which is none itself where it has no boxes."""
    return number == 0 and name in listing.parents


def _alike(classes: ClassMap) -> list[str]:
    """Notes on class names that a person may confuse; each remains a class of its own."""
    names = [name for name in classes.names if name is not None]
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[folded(name)].append(name)
    alike = [" and ".join(f"'{cut(name)}'" for name in group) for group in groups.values() if len(group) > 1]
    spaced = [f"'{name}'" for name in names if name != name.strip()]
    notes = []
    if alike:
        notes.append(f"classes whose names differ in letter case or blanks alone: {first_of(alike)}; they stay apart")
    if spaced:
        notes.append(f"class names with blanks around them, kept: {first_of(spaced)}")
    return notes


def _names_in_use(listings: Sequence[Listing]) -> tuple[list[str], list[str]]:
    """Names of the training split, which the others may not exceed; of all splits where there is no training."""
    names = [
        {str(box.category) for image in listing.images for box in image.boxes if box.category != ""}
        for listing in listings
    ]
    place = next((place for place, listing in enumerate(listings) if listing.split == "train"), None)
    if place is None:
        return sorted(set().union(*names)), []
    train, notes = names[place], []
    for listing, found in zip(listings, names, strict=True):
        if found - train:
            only_train = first_of(sorted(train - found)) or "nothing"
            raise _different(listings[place], only_train, listing, first_of(sorted(found - train)))
        absent = sorted(train - found)
        if absent:
            notes.append(f"no object of {first_of(absent)} in {listing.split}: it cannot be measured there")
    return sorted(train), notes


def _declared(listing: Listing, used: Counter[int | str]) -> dict[int, str]:
    """Class names by id, without an unused ``background`` and Roboflow's unused parent of all classes."""
    categories = listing.categories or ()
    _refuse_repeated(listing, categories)
    return {number: name for number, name in categories if used[number] or not _is_no_class(number, name, listing)}


def _is_no_class(number: int, name: str, listing: Listing) -> bool:
    return is_background(name) or is_parent(number, name, listing)


def _skipped(listing: Listing, classes: ClassMap) -> list[str]:
    notes = []
    kept = set(classes.ids)
    for number, name in sorted(listing.categories or ()):
        if number in kept:
            continue
        why = "background is built in" if is_background(name) else "it is the parent of the other categories"
        notes.append(f"category '{cut(name)}' (id {number}) is declared but has no annotation; {why}, so it is skipped")
    return notes


def _unlearnt(listings: Sequence[Listing], classes: ClassMap) -> list[str]:
    """A note on declared classes without any object in the training split."""
    train = next((listing for listing in listings if listing.split == "train"), None)
    if train is None:
        return []
    used = {box.category for image in train.images for box in image.boxes if not box.ignored}
    unused = [name for number, name in zip(classes.ids, classes.names, strict=True) if number not in used]
    if not used or not unused:
        return []
    count = f"{len(unused)} of {len(classes)} ({first_of(unused)})"
    return [f"classes without any object in train, so they are not learnt: {count}"]


def _class_map(declared: dict[int, str]) -> ClassMap:
    ids = sorted(declared)
    return ClassMap(tuple(declared[number] for number in ids), tuple(ids))


def _refuse_repeated(listing: Listing, categories: Sequence[tuple[int, str]]) -> None:
    for position, what in enumerate(("id", "name")):
        repeated = [key for key, count in Counter(entry[position] for entry in categories).items() if count > 1]
        if repeated:
            key = repeated[0]
            others = [entry[1 - position] for entry in categories if entry[position] == key]
            raise DatasetError(
                f"{listing.source}: {len(others)} categories have the {what} {cut(repr(key))} "
                f"({'names' if what == 'id' else 'ids'} {first_of(others)}); give each its own {what} in the file",
                code="E113",
            )


def _refuse_different(listings: Sequence[Listing], declared: Sequence[dict[int, str]]) -> None:
    first, reference = listings[0], declared[0]
    for other, classes in zip(listings[1:], declared[1:], strict=True):
        if classes == reference:
            continue
        if set(classes.values()) == set(reference.values()):
            moved = sorted(name for number, name in reference.items() if classes.get(number) != name)
            raise DatasetError(
                f"class ids differ between {first.split} and {other.split}: {first_of(moved)} have other ids in one "
                "than in the other, so every evaluation would be wrong; give them the same ids in "
                f"{_both(first, other)}",
                code="E116",
            )
        only_first, only_other = (
            first_of(sorted(f"{number} {name}" for number, name in one.items() - two.items())) or "nothing"
            for one, two in ((reference, classes), (classes, reference))
        )
        raise _different(first, only_first, other, only_other)


def _different(first: Listing, only_first: str, other: Listing, only_other: str) -> DatasetError:
    return DatasetError(
        f"class lists differ: only in {first.split} {{{only_first}}}; only in {other.split} {{{only_other}}}. "
        f"Evaluation would score them 0; make the annotations of {_both(first, other)} agree",
        code="E116",
    )


def _both(first: Listing, other: Listing) -> str:
    return f"{first.source} and {other.source}"


def _refuse_undeclared(listing: Listing, classes: ClassMap) -> None:
    known = set(classes.ids)
    unknown = [
        (box.category, f"{box.where} of {image.file_name}")
        for image in listing.images
        for box in image.boxes
        if box.category not in known
    ]
    if unknown:
        values = first_of(sorted({str(category) for category, _ in unknown}))
        raise DatasetError(
            f"{listing.source}: {len(unknown)} annotations use a category_id that is not in 'categories': {values} "
            f"({first_of(place for _, place in unknown)}); declared are {first_of(classes.ids, 10)}. "
            "Ids may be any numbers, but each must be declared in the file",
            code="E112",
        )


def _refuse_background(classes: ClassMap, used: Counter[int | str], listings: Sequence[Listing]) -> None:
    for number, name in zip(classes.ids, classes.names, strict=True):
        if is_background(name):
            count = used[number] + used[str(name)]
            files = first_of(listing.source for listing in listings)
            raise DatasetError(
                f"the class '{name}' has {count} boxes, but background is every place without an object and is "
                f"built in; if it is a real class, rename it in {files}, else remove those boxes",
                code="E114",
            )
