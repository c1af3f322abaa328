"""The boxes of an image that its page can be asked about: what each is, and its life through both stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from faster_rcnn.explanation.causes.explained import Explained
from faster_rcnn.explanation.causes.matching import UNMATCHED, match_detections
from faster_rcnn.explanation.causes.sentences import false_positive_sentence, verdict_sentence
from faster_rcnn.explanation.occlusion import occlusion_map
from faster_rcnn.explanation.record.lives import Corners, Life, corners
from faster_rcnn.ops.boxes import iou
from faster_rcnn.reporting.drawing.colours import colour_of, hex_of
from faster_rcnn.structures import GroundTruth
from faster_rcnn.system.terminal import printable

MAX_DETECTIONS = 150
MAX_PROPOSALS = 50
"""The numbers of boxes that a page has; images in tiles may have thousands."""
MAX_OCCLUSION_MAPS = 24
"""The number of detections with an occlusion map, each 50 regions for the second stage's network to compute."""
NEAR = 0.1
"""The lowest IoU of a detection with the truth that its steps are compared with."""


@dataclass(frozen=True, slots=True)
class Step:
    """One box of a life."""

    name: str
    """``anchor``, ``proposal``, ``output``, or ``suppressor``."""
    box: Corners
    score: str
    """The score of the step in words."""
    iou: float | None
    """IoU with the truth in question; ``None`` where there is none."""


@dataclass(frozen=True, slots=True)
class PageBox:
    """A box that a reader can choose."""

    kind: str
    """``detection``, ``truth`` or ``proposal``."""
    name: str
    """The name of its class, printable; ``object`` for a proposal."""
    label: int | None
    score: float | None
    """The score of a detection, the objectness of a proposal."""
    box: Corners
    notes: tuple[str, ...]
    """Sentences about it, printable."""
    truth: Corners | None
    """The truth that its steps are compared with."""
    steps: tuple[Step, ...]
    region: Corners | None = None
    """The proposal that the occlusion map lies on."""
    falls: tuple[tuple[float, ...], ...] = ()
    """How much the score falls without each part of the region, row by row; nothing for boxes without a map."""

    def to_json(self) -> dict[str, Any]:
        """Plain values for the page: coordinates to a tenth of a pixel, scores and IoUs to four digits."""
        colour = "#ffffff" if self.label is None else hex_of(colour_of(self.label))
        return {
            "kind": self.kind,
            "name": self.name,
            "colour": colour,
            "score": _rounded(self.score),
            "box": _placed(self.box),
            "notes": self.notes,
            "truth": None if self.truth is None else _placed(self.truth),
            "steps": [
                {"name": step.name, "box": _placed(step.box), "score": step.score, "iou": _rounded(step.iou)}
                for step in self.steps
            ],
            "region": None if self.region is None else _placed(self.region),
            "falls": [[_rounded(value) for value in row] for row in self.falls],
        }


def page_boxes(explained: Explained, advice: Sequence[str] = ()) -> tuple[PageBox, ...]:
    """The boxes of a page: the best reported detections, all truths, and the best proposals of the whole image.

    ``advice`` has a sentence for each verdict, in their order, or is empty.
    """
    proposals = tuple(_proposals(explained))
    if explained.truth is None:
        return (*_detections(explained), *proposals)
    return (*_detections(explained), *_truths(explained, explained.truth, advice), *proposals)


def steps_of(
    life: Life, explained: Explained, truth: Corners | None, suppressor: Life | None = None
) -> tuple[Step, ...]:
    """The boxes of a life in their order, each with its score in words and its IoU with a truth."""
    ious = (None, None, None) if truth is None else life.ious(torch.tensor(truth))
    names = ("anchor", "proposal", "output")
    boxes = (life.anchor_box, life.proposal_box, life.box if life.background is not None else None)
    texts = (_objectness(life), _probabilities(life, explained), _score(life))
    rows = zip(names, boxes, texts, ious, strict=True)
    steps = [Step(name, box, text, value) for name, box, text, value in rows if box is not None]
    rival = None if suppressor is None else suppressor.box or suppressor.proposal_box
    if suppressor is not None and rival is not None:
        score = suppressor.objectness if suppressor.score is None else suppressor.score
        value = None if truth is None else _iou(rival, truth)
        steps.append(Step("suppressor", rival, f"{score or 0:.3f}", value))
    return tuple(steps)


def _detections(explained: Explained) -> Iterator[PageBox]:
    detections, classes = explained.detections, explained.classes
    notes, on = _notes_on_detections(explained)
    has_maps = explained.recording.whole.second is not None
    for index in range(min(len(detections), MAX_DETECTIONS)):
        life, label = explained.life(index), int(detections.labels[index])
        box = corners(detections.boxes[index])
        truth = on[index]
        is_mapped = has_maps and index < MAX_OCCLUSION_MAPS
        falls = occlusion_map(explained.recording, index).tolist() if is_mapped else []
        yield PageBox(
            kind="detection",
            name=printable(classes.name_of(label)),
            label=label,
            score=float(detections.scores[index]),
            box=box,
            notes=notes[index],
            truth=truth,
            steps=steps_of(life, explained, truth),
            region=life.proposal_box if is_mapped else None,
            falls=tuple(tuple(row) for row in falls),
        )


def _notes_on_detections(explained: Explained) -> tuple[list[tuple[str, ...]], list[Corners | None]]:
    """Sentences about each reported detection, and the truth that it is compared with."""
    detections, truth = explained.detections, explained.truth
    if truth is None:
        return [()] * len(detections), [None] * len(detections)
    matching = match_detections(detections, truth, explained.thresholds.iou)
    false = {each.detection: each for each in explained.false_positives}
    notes: list[tuple[str, ...]] = []
    on: list[Corners | None] = []
    for index, partner in enumerate(matching.truths.tolist()):
        if partner != UNMATCHED:
            notes.append(("It counts for a truth.",))
        elif index in false:
            one = false[index]
            notes.append(
                (
                    f"False positive, {one.kind} (TIDE: {one.tide}).",
                    printable(false_positive_sentence(one, explained.classes)),
                )
            )
            partner = UNMATCHED if one.truth is None else one.truth
        else:
            notes.append(("It lies on an ignored object, so it is neither right nor wrong.",))
        on.append(corners(truth.boxes[partner]) if partner != UNMATCHED else _nearest(explained, index, truth))
    return notes, on


def _truths(explained: Explained, truth: GroundTruth, advice: Sequence[str]) -> Iterator[PageBox]:
    verdicts = {verdict.truth: (number, verdict) for number, verdict in enumerate(explained.verdicts)}
    for index in range(len(truth.labels)):
        label, box = int(truth.labels[index]), corners(truth.boxes[index])
        name = printable(explained.classes.name_of(label))
        if index not in verdicts:
            notes = ("It is ignored (a crowd or a difficult object), so it has no verdict.",)
            yield PageBox("truth", name, label, None, box, notes, box, ())
            continue
        number, verdict = verdicts[index]
        sentences = (
            printable(verdict_sentence(verdict, explained.classes)),
            *map(printable, advice[number : number + 1]),
        )
        heading = f"Verdict: {verdict.kind}." if verdict.missed else "Found."
        life = verdict.life
        steps = () if life is None else steps_of(life, explained, box, verdict.suppressor)
        yield PageBox("truth", name, label, None, box, (heading, *filter(None, sentences)), box, steps)


def _proposals(explained: Explained) -> Iterator[PageBox]:
    """The best proposals of the whole image, each as the class that it resembles most."""
    fates = explained.fates[0]
    count = min(len(fates.part.proposals.scores), MAX_PROPOSALS)
    regions = fates.regions
    labels = [0] * count if regions is None else regions.probabilities[:count, :-1].argmax(dim=1).tolist()
    for index in range(count):
        life = fates.life_of_region(index, labels[index])
        box = corners(fates.part.in_image(fates.part.proposals.boxes[index]))
        score = float(fates.part.proposals.scores[index])
        note = f"Rank {index + 1:,} among {len(fates.part.proposals.scores):,} proposals of the whole image."
        notes = (note, *_likely(life, explained))
        near = None if explained.truth is None else _nearest_truth(box, explained.truth)
        yield PageBox("proposal", "proposal", None, score, box, notes, near, steps_of(life, explained, near))


def _likely(life: Life, explained: Explained) -> tuple[str, ...]:
    if life.background is None or life.score is None:
        return ()
    name = printable(explained.classes.name_of(life.label))
    if life.background > life.score:
        return (f"The second stage takes it for background; the most probable class is {name}.",)
    return (f"The second stage takes it for {name}.",)


def _nearest(explained: Explained, detection: int, truth: GroundTruth) -> Corners | None:
    return _nearest_truth(corners(explained.detections.boxes[detection]), truth)


def _nearest_truth(box: Corners, truth: GroundTruth) -> Corners | None:
    """The truth of the highest IoU with a box; ``None`` where that is below ``NEAR``."""
    ious = iou(torch.tensor([box], dtype=torch.float64), truth.boxes.double())[0]  # (T,)
    best = int(ious.argmax()) if len(ious) else UNMATCHED
    return corners(truth.boxes[best]) if best != UNMATCHED and float(ious[best]) >= NEAR else None


def _iou(box: Corners, truth: Corners) -> float:
    pair = torch.tensor([box, truth], dtype=torch.float64)
    return float(iou(pair[:1], pair[1:])[0, 0])


def _objectness(life: Life) -> str:
    rank = "" if life.rank is None else f", rank {life.rank:,} of its level"
    return "" if life.objectness is None else f"objectness {life.objectness:.3f}{rank}"


def _probabilities(life: Life, explained: Explained) -> str:
    if life.background is None or life.score is None:
        return ""
    name = printable(explained.classes.name_of(life.label))
    words = [f"{name} {life.score:.3f}", f"background {life.background:.3f}"]
    if life.rival is not None:
        words.append(f"{printable(explained.classes.name_of(life.rival[0]))} {life.rival[1]:.3f}")
    return ", ".join(words)


def _score(life: Life) -> str:
    return "" if life.score is None else f"score {life.score:.3f}"


def _placed(box: Corners) -> list[float]:
    return [round(value, 1) for value in box]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
