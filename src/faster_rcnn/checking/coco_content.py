"""Ids of a COCO file that its reader refuses: they are found, and the content without them can be read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faster_rcnn.checking.finding import Finding
from faster_rcnn.parsing.json_values import shown
from faster_rcnn.parsing.values import as_id, first_of


def without_broken_ids(payload: dict[str, Any], source: Path, split: str) -> tuple[dict[str, Any], list[Finding]]:
    """The content without repeated image ids and annotations of no image, and findings about them.

    Entries that are no objects are kept, so that the reader refuses them with its own message.
    """
    images, doubtful, findings = _images(payload["images"], source, split)
    known = {_id_of(entry, "id") for entry in images if isinstance(entry, dict)}
    kept, orphans = [], []
    for entry in payload["annotations"]:
        owner = _id_of(entry, "image_id") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or owner in known:
            kept.append(entry)
        elif owner not in doubtful:
            orphans.append(entry)
    findings += [
        Finding(
            "id.orphan",
            split,
            "",
            f"{source.name} annotation id {shown(entry.get('id'))}",
            f"image_id {shown(entry.get('image_id'))} is not in 'images'",
            "the annotation is left out",
        )
        for entry in orphans
    ]
    findings += _repeated_annotations(kept, source, split)
    return {**payload, "images": images, "annotations": kept}, findings


def _id_of(entry: Any, key: str) -> int | str | None:
    return as_id(entry.get(key)) if isinstance(entry, dict) else None


def _images(entries: list[Any], source: Path, split: str) -> tuple[list[Any], set[int | str | None], list[Finding]]:
    """Entries with an id of their own, ids whose annotations could belong to several images, and findings."""
    groups: dict[int | str, list[dict[str, Any]]] = defaultdict(list)
    for entry in entries:
        if (image_id := _id_of(entry, "id")) is not None:
            groups[image_id].append(entry)
    dropped: set[int] = set()
    doubtful: set[int | str | None] = set()
    findings = []
    for image_id, group in groups.items():
        if len(group) == 1:
            continue
        names = list(dict.fromkeys(str(entry.get("file_name")) for entry in group))
        same = len(names) == 1
        dropped |= {id(entry) for entry in (group[1:] if same else group)}
        if not same:
            doubtful.add(image_id)
        change = "the entries are joined" if same else "the images and their annotations are left out"
        record = f"{source.name} image id {image_id}"
        findings.append(Finding("id.image-twice", split, names[0], record, f"the id of {first_of(names)}", change))
    return [entry for entry in entries if id(entry) not in dropped], doubtful, findings


def _repeated_annotations(entries: list[Any], source: Path, split: str) -> Iterator[Finding]:
    counts = Counter(shown(entry.get("id")) for entry in entries if isinstance(entry, dict))
    for number, count in counts.items():
        if count > 1 and number != "null":
            yield Finding(
                "id.annotation-twice",
                split,
                "",
                f"{source.name} annotation id {number}",
                f"{count} annotations have this id",
                "the annotations are numbered anew",
            )
