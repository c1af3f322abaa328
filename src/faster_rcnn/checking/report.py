"""The result of ``check`` as a table of 80 columns and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Any

from faster_rcnn.checking.finding import Finding, by_kind, count_levels
from faster_rcnn.checking.kinds import KINDS, LEVELS, Level
from faster_rcnn.checking.run import Checked
from faster_rcnn.parsing.values import cut
from faster_rcnn.system.atomic import atomic_write
from faster_rcnn.system.wording import count_of

REPORT = "check_report.json"
WIDTH = 80
INDENT = " " * 8
EXAMPLES = 3
"""Findings of a kind that the table shows; all of them are in the file."""


def table(checked: Checked) -> str:
    """Every kind of finding with its number and first examples, in lines of at most 80 characters."""
    lines = [cut(line, WIDTH) for line in _splits(checked)]
    return "\n".join([*lines, *_kinds(checked), *_verdict(checked)])


def _splits(checked: Checked) -> Iterator[str]:
    for split, listing in checked.content.listings.items():
        boxes = sum(len(image.boxes) for image in listing.images)
        images = len(listing.images)
        yield f"{split}: {listing.format}, {count_of(images, 'image')}, {count_of(boxes, 'box', 'boxes')}"


def _kinds(checked: Checked) -> Iterator[str]:
    for kind, group in by_kind(checked.findings).items():
        about = KINDS[kind]
        yield cut(f"{about.level:<7} {len(group):>6}  {about.title}", WIDTH)
        for finding in group[:EXAMPLES]:
            yield from _example(finding)
        if len(group) > EXAMPLES:
            yield f"{INDENT}and {len(group) - EXAMPLES:,} more"


def _example(finding: Finding) -> list[str]:
    """Place and value in at most two lines."""
    text = f"{finding.place}: {finding.value}" if finding.place else finding.value
    return wrap(text, WIDTH, initial_indent=INDENT, subsequent_indent=f"{INDENT}  ", max_lines=2, placeholder=" ...")


def _verdict(checked: Checked) -> Iterator[str]:
    """The anchors in a line that can be copied, and the numbers of findings."""
    anchors = checked.anchors
    if anchors is not None and anchors.fit is not None:
        yield f"anchors for these data: {anchors.fit.words}"
    counts = count_levels(checked.findings)
    yield ", ".join(count_of(counts[level], level) for level in LEVELS)


def faults(checked: Checked) -> int:
    """The number of errors and warnings, for which ``--strict`` fails."""
    levels: tuple[Level, ...] = ("error", "warning")
    counts = count_levels(checked.findings)
    return sum(counts[level] for level in levels)


def to_json(checked: Checked) -> dict[str, Any]:
    """Everything that was found, as JSON."""
    content = checked.content
    groups = by_kind(checked.findings)
    return {
        "data": str(content.source.root),
        "format": content.format,
        "classes": list(checked.mended.classes.names),
        "splits": {
            split: {
                "images": len(listing.images),
                "boxes": sum(len(image.boxes) for image in listing.images),
                "usable_images": len(checked.mended.splits[split].records) if split in checked.mended.splits else 0,
            }
            for split, listing in content.listings.items()
        },
        "levels": count_levels(checked.findings),
        "kinds": {kind: {"level": KINDS[kind].level, "count": len(group)} for kind, group in groups.items()},
        "anchors": None if checked.anchors is None else checked.anchors.to_json(),
        "findings": [finding.to_json() for finding in checked.findings],
    }


def write_report(folder: Path, checked: Checked) -> Path:
    """Write ``check_report.json`` atomically and return where it is; raises ``MachineError`` where that fails."""
    path = folder / REPORT
    text = json.dumps(to_json(checked), indent=1, ensure_ascii=True, allow_nan=False)
    with atomic_write(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return path
