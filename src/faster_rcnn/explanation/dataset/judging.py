"""Judging one recorded image of a split: its verdicts, its false positives, and what oracles would find."""

from __future__ import annotations

from dataclasses import replace

from faster_rcnn.data.records import ImageRecord
from faster_rcnn.explanation.causes.false_positives import false_positives
from faster_rcnn.explanation.causes.kinds import Thresholds
from faster_rcnn.explanation.causes.verdicts import verdicts_on
from faster_rcnn.explanation.dataset.attributes import attributes_of
from faster_rcnn.explanation.dataset.classes import JudgedSplit
from faster_rcnn.explanation.dataset.judged import JudgedImage, JudgedTruth
from faster_rcnn.explanation.dataset.labels import LabelBank, Neighbour, with_missing_labels
from faster_rcnn.explanation.dataset.oracles import oracle_detections
from faster_rcnn.explanation.record.recording import Recording


def judge(
    recording: Recording,
    record: ImageRecord,
    judged: JudgedSplit,
    thresholds: Thresholds,
    bank: LabelBank | None = None,
) -> JudgedImage:
    """Judge a recorded image by its truth, and keep small values only.

    Args:
        recording: the image; detections of classes that the data lacks take no part, as in every metric.
        record: the record of the image, with the labels of the detector.
        judged: the split of the record.
        thresholds: when a detection is reported, and when it counts for a truth.
        bank: labelled regions of training images; without it no false positive is called a missing label.
    """
    known = replace(recording, detections=judged.known(recording.detections))
    attributes = attributes_of(record, recording.pixels, judged.split.classes)
    oracles = oracle_detections(recording, record.truth, thresholds.iou)
    verdicts = verdicts_on(known, record.truth, thresholds)
    neighbours: dict[int, tuple[Neighbour, ...]] = {}
    false = false_positives(known.detections, record.truth, thresholds)
    if bank is not None:
        false, neighbours = with_missing_labels(recording, known.detections, false, bank)
    return JudgedImage(
        record=record,
        detections=known.detections,
        truths=tuple(JudgedTruth(each, attributes[each.truth]) for each in verdicts),
        false_positives=false,
        oracles=replace(oracles, proposals=judged.known(oracles.proposals)),
        neighbours=neighbours,
    )
