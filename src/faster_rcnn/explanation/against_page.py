"""The page of two detectors side by side: what changed, whether by chance, and crops of truths gained and lost.

The page is one HTML file that needs no other file, no network and no script.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from torch import Tensor

from faster_rcnn.data.decode import read_image
from faster_rcnn.evaluation.change import verdict_on
from faster_rcnn.explanation.against import Against
from faster_rcnn.explanation.causes.kinds import ORDER, Verdict, VerdictKind
from faster_rcnn.explanation.causes.sentences import verdict_sentence
from faster_rcnn.explanation.dataset.pairs import TruthPair
from faster_rcnn.explanation.embedding import MAX_BYTES, data_urls
from faster_rcnn.explanation.gallery_crops import crop_picture, evenly_over
from faster_rcnn.explanation.gallery_tables import STAGES
from faster_rcnn.explanation.record.lives import Corners
from faster_rcnn.explanation.survey import Survey
from faster_rcnn.reporting.pages import render_page, write_page

TEMPLATE = "explanation_change.html.jinja"
MAX_CROPS = 90
"""The largest number of crops of a gallery, which keeps the page below 5 MB."""


@dataclass(frozen=True, slots=True)
class Share:
    """One of the four groups of truths, as a part of the bar."""

    name: str
    count: int
    percent: float


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """How many gained truths had a verdict before, and how many lost truths have it after."""

    kind: str
    text: str
    gained: int
    lost: int


@dataclass(frozen=True, slots=True)
class ClassRow:
    """The truths of one class."""

    name: str
    truths: int
    before: float
    """Share that the first detector finds, 0..1."""
    after: float
    gained: int
    lost: int


@dataclass(frozen=True, slots=True)
class CropView:
    """One truth that was gained or lost, as the template shows it."""

    url: str
    class_name: str
    kind: str
    """The verdict of the detector that misses it."""
    before: str
    """A sentence of the first detector's verdict."""
    after: str
    file_name: str


def save_change_page(found: Against, path: Path, data: str, max_crops: int = MAX_CROPS) -> Path:
    """Write the page of a comparison atomically and return its path.

    Args:
        found: what changed.
        path: the HTML file.
        data: the name of the data on the page.
        max_crops: the largest number of crops of each gallery.

    Raises:
        ImageError: an image of a crop cannot be read any more.
        MachineError: the file cannot be written.
    """
    return write_page(path, change_page(found, data, max_crops))


def change_page(found: Against, data: str, max_crops: int = MAX_CROPS) -> str:
    """The HTML of the page of a comparison; the arguments are those of ``save_change_page``."""
    return render_page(
        TEMPLATE,
        data_name=data,
        names=found.names,
        split=found.after.split.name,
        thresholds=found.after.thresholds,
        images=len(found.common.records),
        truths=len(found.common.pairs),
        notes=found.notes,
        metrics=[(name, each, verdict_on(each)) for name, each in found.changes.items()],
        shares=shares_of(found.common.pairs),
        verdicts=verdict_rows(found.common.pairs),
        classes=class_rows(found.common.pairs, found.class_names),
        galleries=_galleries(found, max_crops),
    )


def shares_of(pairs: Sequence[TruthPair]) -> list[Share]:
    """The truths found by both, gained, lost, and missed by both; none where there is no truth."""
    gained, lost = sum(each.gained for each in pairs), sum(each.lost for each in pairs)
    both = sum(not each.before.missed and not each.after.missed for each in pairs)
    counts = {
        "found by both": both,
        "gained": gained,
        "lost": lost,
        "missed by both": len(pairs) - both - gained - lost,
    }
    return [Share(name, count, 100 * count / len(pairs)) for name, count in counts.items()] if pairs else []


def verdict_rows(pairs: Sequence[TruthPair]) -> list[VerdictRow]:
    """The verdicts of gained truths before, and of lost truths after, in the order of the stages."""
    gained = Counter(each.before.kind for each in pairs if each.gained)
    lost = Counter(each.after.kind for each in pairs if each.lost)
    kinds = [kind for kind in ORDER if kind != VerdictKind.FOUND and (gained[kind] or lost[kind])]
    return [VerdictRow(kind.value, STAGES[kind], gained[kind], lost[kind]) for kind in kinds]


def class_rows(pairs: Sequence[TruthPair], names: Sequence[str]) -> list[ClassRow]:
    """The rows of the classes that have truths."""
    groups = {name: [each for each in pairs if each.class_name == name] for name in names}
    return [_class_row(name, own) for name, own in groups.items() if own]


def _class_row(name: str, pairs: Sequence[TruthPair]) -> ClassRow:
    return ClassRow(
        name=name,
        truths=len(pairs),
        before=sum(not each.before.missed for each in pairs) / len(pairs),
        after=sum(not each.after.missed for each in pairs) / len(pairs),
        gained=sum(each.gained for each in pairs),
        lost=sum(each.lost for each in pairs),
    )


def _galleries(found: Against, max_crops: int) -> list[tuple[str, str, int, list[CropView]]]:
    """Title, what is orange, number of truths and crops of each gallery."""
    chosen = (
        evenly_over(found.gained, lambda pair: pair.before.kind, max_crops),
        evenly_over(found.lost, lambda pair: pair.after.kind, max_crops),
    )
    pictures = _pictures(found, [*chosen[0], *chosen[1]])
    urls = data_urls(pictures, MAX_BYTES)
    split = len(chosen[0])
    return [
        ("Gained", "the detection after", len(found.gained), _views(found, chosen[0], urls[:split])),
        ("Lost", "the box after that came furthest", len(found.lost), _views(found, chosen[1], urls[split:])),
    ]


def _views(found: Against, pairs: Sequence[TruthPair], urls: Sequence[str]) -> list[CropView]:
    return [
        CropView(
            url=url,
            class_name=pair.class_name,
            kind=(pair.after if pair.after.missed else pair.before).kind.value,
            before=_sentence(pair.before, found.before),
            after=_sentence(pair.after, found.after),
            file_name=found.common.records[pair.image].path.name,
        )
        for pair, url in zip(pairs, urls, strict=True)
    ]


def _sentence(verdict: Verdict, survey: Survey) -> str:
    return verdict_sentence(verdict, survey.classes)


def _pictures(found: Against, pairs: Sequence[TruthPair]) -> list[Image.Image]:
    """A crop of each truth: the truth dashed, the second detector's box that came furthest solid."""
    pictures = []
    decoded: tuple[int, Tensor] | None = None
    for pair in pairs:
        record = found.common.records[pair.image]
        if decoded is None or decoded[0] != pair.image:
            decoded = pair.image, read_image(record.path, record.size.height * record.size.width)[0]
        pictures.append(crop_picture(decoded[1], pair.box, pair.box, _furthest(pair.after)))
    return pictures


def _furthest(verdict: Verdict) -> Corners | None:
    """The last box on the way of a truth."""
    life = verdict.life
    return None if life is None else life.box or life.proposal_box or life.anchor_box
