"""The page of one image: every stage with its picture and its numbers, and the life of each box that a reader chooses.

The page is one HTML file that needs no other file, no network and no library.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from faster_rcnn.explanation.causes.explained import Explained
from faster_rcnn.explanation.causes.false_positives import FalsePositive
from faster_rcnn.explanation.causes.kinds import Verdict
from faster_rcnn.explanation.causes.sentences import false_positive_sentence, verdict_sentence
from faster_rcnn.explanation.embedding import data_urls, json_for_script, policy_of, script_text
from faster_rcnn.explanation.page_boxes import MAX_DETECTIONS, MAX_OCCLUSION_MAPS, PageBox, page_boxes
from faster_rcnn.explanation.page_stages import stages_of
from faster_rcnn.explanation.plots.view import picture_of
from faster_rcnn.inference.inputs import AnyImage
from faster_rcnn.reporting.pages import render_page, write_page
from faster_rcnn.structures import ClassMap

TEMPLATE, SCRIPT = "explanation.html.jinja", "explanation.js"
LONGEST = 1200
"""The longer side in pixels of the image in the page."""
KINDS = ("detection", "truth", "proposal")


@dataclass(frozen=True, slots=True)
class TruthRow:
    """One truth in the table of verdicts."""

    name: str
    kind: str
    sentence: str
    advice: str


@dataclass(frozen=True, slots=True)
class FalseRow:
    """One false positive in its table."""

    name: str
    score: float
    kind: str
    tide: str
    sentence: str


def save_page(explained: Explained, path: Path, model: str = "", advice: Sequence[str] = ()) -> Path:
    """Write the page of an image atomically and return its path.

    Args:
        explained: the image; a ``Trace`` is one.
        path: the HTML file.
        model: the name of the detector on the page.
        advice: a sentence for each verdict, in their order, or nothing.

    Raises ``MachineError`` where the file cannot be written.
    """
    return write_page(path, page_of(explained, model, advice))


def page_of(explained: Explained, model: str = "", advice: Sequence[str] = ()) -> str:
    """The HTML of the page of an image; the arguments are those of ``save_page``."""
    stages, boxes = stages_of(explained), page_boxes(explained, advice)
    image = _image(explained)
    pictures = [image, *(stage.picture for stage in stages if stage.picture is not None)]
    urls = data_urls(pictures)
    of_stages = iter(urls[1:])
    script = script_text(SCRIPT)
    size = explained.recording.size
    return render_page(
        TEMPLATE,
        name=_name(explained.recording.image),
        model=model,
        image=urls[0],
        width=size.width,
        height=size.height,
        stages=[(stage, None if stage.picture is None else next(of_stages)) for stage in stages],
        boxes=[(index, box) for index, box in enumerate(boxes)],
        kinds=_kinds(boxes),
        parts=len(explained.recording.parts),
        detections=len(explained.detections),
        best=float(explained.recording.detections.scores[0]) if len(explained.recording.detections) else None,
        thresholds=explained.thresholds,
        is_known=explained.truth is not None,
        verdicts=[] if explained.truth is None else truth_rows(explained.verdicts, explained.classes, advice),
        false_positives=[] if explained.truth is None else false_rows(explained.false_positives, explained.classes),
        max_detections=MAX_DETECTIONS,
        max_maps=MAX_OCCLUSION_MAPS,
        script=script,
        policy=policy_of(script),
        data=json_for_script({"width": size.width, "height": size.height, "boxes": [box.to_json() for box in boxes]}),
    )


def truth_rows(verdicts: Sequence[Verdict], classes: ClassMap, advice: Sequence[str]) -> list[TruthRow]:
    """The verdicts as rows, the missed truths first."""
    rows = [
        TruthRow(
            classes.name_of(each.label),
            str(each.kind),
            verdict_sentence(each, classes),
            advice[index] if index < len(advice) and each.missed else "",
        )
        for index, each in enumerate(verdicts)
    ]
    return [row for row, each in sorted(zip(rows, verdicts, strict=True), key=lambda pair: not pair[1].missed)]


def false_rows(false: Sequence[FalsePositive], classes: ClassMap) -> list[FalseRow]:
    """The false positives as rows, best first."""
    return [
        FalseRow(
            classes.name_of(each.label), each.score, str(each.kind), each.tide, false_positive_sentence(each, classes)
        )
        for each in false
    ]


def _kinds(boxes: Sequence[PageBox]) -> list[tuple[str, int, bool]]:
    """Each kind of boxes, their number, and whether they are shown when the page opens."""
    counts = {kind: sum(box.kind == kind for box in boxes) for kind in KINDS}
    first = next((kind for kind in KINDS if counts[kind]), None)
    return [(kind, count, kind == first or kind == "truth") for kind, count in counts.items() if count]


def _image(explained: Explained) -> Image.Image:
    """The image, at most ``LONGEST`` pixels long."""
    picture = picture_of(explained.recording.pixels)
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return picture


def _name(image: AnyImage) -> str:
    """The file name of an image, or what it is for one without a path."""
    return Path(image).name if isinstance(image, str | os.PathLike) else "An image"
