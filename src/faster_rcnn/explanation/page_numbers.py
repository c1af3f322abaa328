"""The numbers of one image beside the pictures of its stages, as names and values in words."""

from __future__ import annotations

from collections import Counter

from faster_rcnn.explanation.causes.explained import Explained
from faster_rcnn.explanation.plots.choice import best_proposals, first_of, second_of, truth_of
from faster_rcnn.explanation.plots.transforms import nearest_truth
from faster_rcnn.explanation.record.lives import Life, PartFates
from faster_rcnn.explanation.record.numbers import (
    assignment_numbers,
    image_numbers,
    level_numbers,
    objectness_numbers,
    proposal_numbers,
    region_numbers,
    sample_numbers,
)
from faster_rcnn.explanation.record.recording import PartRecording
from faster_rcnn.structures import ImageSize
from faster_rcnn.system.terminal import printable

Rows = tuple[tuple[str, str], ...]
MAX_CLASSES = 6
"""The number of classes in the table of probabilities."""


def image_rows(part: PartRecording) -> Rows:
    """Sizes of the image, width first as on a screen."""
    numbers = image_numbers(part)
    return (
        ("image", _size(numbers.size)),
        ("resized", f"{_size(numbers.resized)}, {numbers.factor:.3g} times as wide"),
        ("padded", _size(numbers.padded)),
    )


def level_rows(part: PartRecording) -> Rows:
    """Each feature map."""
    return tuple(
        (level.name, f"{level.channels} x {level.rows} x {level.columns}, stride {level.stride}")
        for level in level_numbers(part)
    )


def anchor_rows(explained: Explained, fates: PartFates) -> Rows:
    """The followed anchor."""
    life = followed(explained, fates)
    if life is None or life.anchor is None or life.anchor_box is None:
        return (("anchors at a position", _per_position(fates.part)),)
    x1, y1, x2, y2 = life.anchor_box
    return (
        ("anchors at a position", _per_position(fates.part)),
        ("followed anchor", f"number {life.anchor:,}, {x2 - x1:.0f} x {y2 - y1:.0f} pixels of the image"),
        ("its objectness", f"{life.objectness or 0:.3f}, rank {life.rank or 0:,} of its level"),
    )


def grid_rows(part: PartRecording) -> Rows:
    """The number of anchors of each level."""
    levels = level_numbers(part)
    rows = [
        (level.name, f"{level.rows} x {level.columns} x {level.per_position} = {level.anchors:,}")
        for level in levels
        if level.anchors
    ]
    return (*rows, ("all anchors", f"{sum(level.anchors for level in levels):,}"))


def assignment_rows(explained: Explained, fates: PartFates) -> Rows:
    """Counts of anchors by their IoU with the truths."""
    numbers = assignment_numbers(fates.part, first_of(fates), truth_of(explained.recording))
    return (
        (f"positive (IoU from {numbers.positive_iou:g}, or best)", f"{numbers.positive:,}"),
        ("of these only as the best of a truth", f"{numbers.positives_below:,}"),
        ("neutral", f"{numbers.neutral:,}"),
        (f"negative (IoU below {numbers.negative_iou:g})", f"{numbers.negative:,}"),
    )


def sample_rows(explained: Explained, fates: PartFates) -> Rows:
    """Counts of the mini-batch."""
    numbers = sample_numbers(fates.part, first_of(fates), truth_of(explained.recording))
    return (
        ("anchors drawn", f"{numbers.size - numbers.unused:,} of {numbers.size:,}"),
        ("positive", f"{numbers.positive:,}, at most {numbers.max_positive:,}"),
        ("negative", f"{numbers.negative:,}"),
    )


def objectness_rows(explained: Explained, fates: PartFates) -> Rows:
    """The best objectness of each level, and the number of anchors above 0.5."""
    return tuple(
        (level.name, f"best {level.best:.3f}, {level.above_half:,} above 0.5")
        for level in objectness_numbers(fates.part, first_of(fates))
    )


def first_transform_rows(explained: Explained, fates: PartFates) -> Rows:
    """How the followed anchor moves."""
    life = followed(explained, fates)
    if life is None or life.anchor_box is None or life.proposal_box is None:
        return ()
    near = nearest_truth(explained.recording, life.anchor_box, life.proposal_box)
    rows = (("followed box", f"proposal {life.proposal}"), ("objectness", f"{life.objectness or 0:.3f}"))
    if near is None:
        return rows
    return (*rows, ("IoU of the anchor", f"{near.before:.3f}"), ("IoU of the proposal", f"{near.after:.3f}"))


def proposal_rows(explained: Explained, fates: PartFates) -> Rows:
    """How many boxes each step of the filter leaves."""
    if fates.anchors is None:
        return ()
    numbers, rule = proposal_numbers(fates.anchors), fates.part.network.inference_filter
    return (
        ("anchors", f"{numbers.anchors:,}"),
        (f"best {rule.before_nms:,} of each level", f"{numbers.candidates:,}"),
        ("too small", f"{numbers.too_small:,}"),
        (f"suppressed (IoU above {rule.nms_iou:g})", f"{numbers.suppressed:,}"),
        ("survive NMS", f"{numbers.survived:,}"),
        (f"proposals (at most {rule.after_nms:,})", f"{numbers.kept:,}"),
    )


def pooling_rows(explained: Explained, fates: PartFates) -> Rows:
    """Where the followed region is read."""
    second_of(fates)
    [proposal] = best_proposals(explained.recording, fates, 1)
    region, rule = region_numbers(fates.part, proposal), fates.part.network.roi.pooling
    x1, y1, x2, y2 = region.box
    method = "RoI pool" if rule.method == "pool" else "RoI align"
    return (
        ("region", f"proposal {proposal}"),
        ("level", f"{region.name}, stride {region.stride}"),
        ("size in features", f"{x2 - x1:.1f} x {y2 - y1:.1f}"),
        ("bins", f"{rule.side} x {rule.side}"),
        ("this detector uses", method),
    )


def probability_rows(explained: Explained, fates: PartFates) -> Rows:
    """The most probable classes of the followed region, and background."""
    regions, classes = fates.regions, explained.classes
    if regions is None:
        return ()
    [proposal] = best_proposals(explained.recording, fates, 1)
    values = regions.probabilities[proposal].tolist()
    labels = [label for label in range(len(classes)) if label not in classes.holes]
    best = sorted(labels, key=values.__getitem__, reverse=True)[:MAX_CLASSES]
    rows = [(printable(classes.name_of(label)), f"{values[label]:.3f}") for label in best]
    return (("region", f"proposal {proposal}"), *rows, ("background", f"{values[-1]:.3f}"))


def second_transform_rows(explained: Explained, fates: PartFates) -> Rows:
    """How the followed region moves."""
    life = followed(explained, fates)
    if life is None or life.proposal_box is None or life.box is None:
        return ()
    near = nearest_truth(explained.recording, life.proposal_box, life.box)
    name = printable(explained.classes.name_of(life.label))
    rows = (("followed region", f"proposal {life.proposal}, as {name}"), ("score", f"{life.score or 0:.3f}"))
    if near is None:
        return rows
    return (*rows, ("IoU of the proposal", f"{near.before:.3f}"), ("IoU of the output", f"{near.after:.3f}"))


def detection_rows(explained: Explained) -> Rows:
    """The reported detections, and what they are worth where the truth is known."""
    found = explained.detections
    rows: Rows = ((f"detections of at least {explained.thresholds.conf:g}", f"{len(found):,}"),)
    if not len(found) and len(explained.recording.detections):
        rows = (*rows, ("the best below it", f"{float(explained.recording.detections.scores[0]):.3f}"))
    if explained.truth is None:
        return rows
    missed = Counter(str(verdict.kind) for verdict in explained.verdicts if verdict.missed)
    false = Counter(str(each.kind) for each in explained.false_positives)
    rows = (*rows, ("truths", f"{len(explained.verdicts):,}"))
    rows = (*rows, ("found", f"{len(explained.verdicts) - missed.total():,}"))
    rows = (*rows, *((f"missed: {kind}", f"{count:,}") for kind, count in missed.items()))
    return (*rows, *((f"false: {kind}", f"{count:,}") for kind, count in false.items()))


def followed(explained: Explained, fates: PartFates) -> Life | None:
    """The life that the pictures of a part follow: its best detection, or its best proposal as its likeliest class."""
    chosen = best_proposals(explained.recording, fates, 1)
    if not chosen:
        return None
    reported = explained.detections
    if reported.proposals is not None:
        for index, origin in enumerate(reported.proposals.tolist()):
            part = 0 if reported.parts is None else int(reported.parts[index])
            if part == fates.index and origin == chosen[0]:
                return explained.life(index)
    label = 0 if fates.regions is None else int(fates.regions.probabilities[chosen[0], :-1].argmax())
    return fates.life_of_region(chosen[0], label)


def _per_position(part: PartRecording) -> str:
    return ", ".join(sorted({str(level.per_position) for level in level_numbers(part) if level.anchors}))


def _size(size: ImageSize) -> str:
    return f"{size.width:,} x {size.height:,} pixels"
