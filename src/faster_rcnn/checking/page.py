"""The page of ``check``: findings with pictures, labelled images, and histograms, in one file that loads nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from faster_rcnn.checking.finding import Finding, by_kind, count_levels
from faster_rcnn.checking.kinds import KINDS, Kind
from faster_rcnn.checking.run import Checked
from faster_rcnn.checking.tiles import Tile, finding_tiles, sample_tiles
from faster_rcnn.explanation.embedding import MAX_BYTES, data_urls
from faster_rcnn.reporting.histograms import draw_histogram, spans
from faster_rcnn.reporting.pages import render_page, write_page

PAGE = "check.html"
TEMPLATE = "check.html.jinja"
MAX_ROWS = 12
"""Findings of a kind in the table of the page."""
MAX_CLASSES = 40
"""Classes in the table of the page."""
SIDES = (4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
RATIOS = (0.25, 0.5, 0.8, 1.25, 2.0, 4.0)
COUNTS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)


@dataclass(frozen=True, slots=True, eq=False)
class TileView:
    """A picture as the template shows it."""

    tile: Tile
    url: str


@dataclass(frozen=True, slots=True, eq=False)
class KindView:
    """One kind of finding as the template shows it."""

    about: Kind
    findings: tuple[Finding, ...]
    """The first ones, which are in the table."""
    count: int
    tiles: tuple[TileView, ...]


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class of train."""

    name: str
    objects: int
    share: float
    """Number of objects as a share of that of the commonest class."""
    half: float | None
    """Best possible recall of the anchors at an IoU of 0.5."""
    positive: float | None
    """The same at 0.7."""


def write_page_of(folder: Path, checked: Checked) -> Path:
    """Write the page of a checked data set and return where it is; raises ``MachineError`` where that fails."""
    return write_page(folder / PAGE, check_page(checked))


def check_page(checked: Checked) -> str:
    """The HTML of the page."""
    max_pixels = checked.content.source.settings.max_pixels
    groups = by_kind(checked.findings)
    tiles = {kind: finding_tiles(group, max_pixels) for kind, group in groups.items()}
    samples = {name: sample_tiles(split, max_pixels) for name, split in checked.mended.splits.items()}
    shown = [tile for each in (*tiles.values(), *samples.values()) for tile in each]
    urls = dict(zip(map(id, shown), data_urls([tile.picture for tile in shown], MAX_BYTES), strict=True))
    views = {id(tile): TileView(tile, urls[id(tile)]) for tile in shown}
    listings, rows = checked.content.listings.values(), class_rows(checked)
    return render_page(
        TEMPLATE,
        name=checked.content.source.root.resolve().name,
        root=checked.content.source.root,
        format=checked.content.format,
        levels=count_levels(checked.findings),
        images=sum(len(listing.images) for listing in listings),
        boxes=sum(len(image.boxes) for listing in listings for image in listing.images),
        splits={listing.split: len(listing.images) for listing in listings},
        kinds=[
            KindView(KINDS[kind], tuple(group[:MAX_ROWS]), len(group), tuple(views[id(tile)] for tile in tiles[kind]))
            for kind, group in groups.items()
        ],
        samples={name: [views[id(tile)] for tile in each] for name, each in samples.items() if each},
        histograms=histograms(checked),
        classes=rows[:MAX_CLASSES],
        num_classes=len(rows),
        anchors=checked.anchors,
    )


def histograms(checked: Checked) -> list[tuple[str, str]]:
    """Titles and drawings about the objects and images of train; none without objects."""
    objects = checked.objects
    if objects is None or not len(objects.labels):
        return []
    heights, widths = objects.shapes.unbind(dim=1)
    ratios = (heights / widths.clamp(min=1e-6)).tolist()
    per_image = [float(len(record.truth.labels)) for record in checked.mended.splits["train"].records]
    drawn = (
        ("Size of objects", "square root of the area, pixels after resizing", objects.sides.tolist(), SIDES),
        ("Aspect ratio of objects", "height / width", ratios, RATIOS),
        ("Objects in an image", "boxes", per_image, COUNTS),
    )
    return [(title, draw_histogram(title, unit, *spans(values, borders))) for title, unit, values, borders in drawn]


def class_rows(checked: Checked) -> list[ClassRow]:
    """The classes of train by their numbers of objects, the commonest first."""
    objects, anchors = checked.objects, checked.anchors
    if objects is None:
        return []
    counts = Counter(objects.labels.tolist())
    most = max(counts.values(), default=1)
    rows = []
    for label in sorted(range(len(objects.classes)), key=lambda each: -counts[each]):
        name = objects.classes.name_of(label)
        recall = None if anchors is None else anchors.by_class.get(name)
        half, positive = (None, None) if recall is None else (recall.half, recall.positive)
        rows.append(ClassRow(name, counts[label], counts[label] / most, half, positive))
    return rows
