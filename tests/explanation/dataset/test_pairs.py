from __future__ import annotations

from dataclasses import replace

import torch

from faster_rcnn.explanation.causes.kinds import VerdictKind
from faster_rcnn.explanation.dataset.judged import JudgedImage
from faster_rcnn.explanation.dataset.pairs import JudgedBy, common_to
from faster_rcnn.structures import ClassMap
from made_surveys import CLASSES, judged_image, record_of
from tiny import boxes_of

CAT, DOG = (0.0, 0.0, 20.0, 20.0), (50.0, 10.0, 90.0, 60.0)


def image(number: int, *rows: tuple[tuple[float, ...], float, int]) -> JudgedImage:
    """A cat and a dog, and detections; truths have the class of their verdict's label."""
    made = judged_image(record_of([CAT, DOG], [0, 1], image_id=number), rows)
    verdicts = (replace(made.truths[1], verdict=replace(made.truths[1].verdict, label=1)),)
    return replace(made, truths=(made.truths[0], *verdicts))


def test_a_truth_found_by_one_detector_only_is_gained_or_lost() -> None:
    before = JudgedBy([image(1, (CAT, 0.9, 0)), image(2, (CAT, 0.9, 0), (DOG, 0.8, 1)), image(3)], CLASSES)
    after = JudgedBy([image(1, (DOG, 0.9, 1)), image(2, (CAT, 0.9, 0)), image(3)], CLASSES)
    common = common_to(before, after)
    pairs = [(pair.image, pair.class_name, pair.gained, pair.lost) for pair in common.pairs]
    neither = (False, False)
    assert pairs[:2] == [(0, "cat", False, True), (0, "dog", True, False)]
    assert pairs[2:4] == [(1, "cat", *neither), (1, "dog", False, True)]
    assert pairs[4:] == [(2, "cat", *neither), (2, "dog", *neither)]  # missed by both
    assert common.pairs[1].box == DOG
    assert (common.pairs[1].before.kind, common.pairs[1].after.kind) == (VerdictKind.BACKGROUND, VerdictKind.FOUND)
    assert [len(each) for each in common.before] == [1, 2, 0]
    assert [len(each) for each in common.after] == [1, 1, 0]
    assert common.left_out == 0


def test_labels_of_two_detectors_meet_by_name_and_other_classes_are_left_out() -> None:
    """Before: cat, dog. After: cow, dog, with another label for the dog; the cat is no truth there."""
    other = ClassMap(("cow", "dog"), (9, 2))
    before, after = image(1, (CAT, 0.9, 0), (DOG, 0.8, 1)), image(1, (CAT, 0.7, 0), (DOG, 0.6, 1))
    truth = replace(after.record.truth, boxes=boxes_of([DOG]), labels=torch.tensor([1]), ignored=torch.tensor([False]))
    without_cat = replace(
        after.record, truth=truth, areas=after.record.areas[1:], boxes_xywh=after.record.boxes_xywh[1:]
    )
    dog = replace(after.truths[1], verdict=replace(after.truths[1].verdict, truth=0))
    after = replace(after, record=without_cat, truths=(dog,))
    common = common_to(JudgedBy([before], CLASSES), JudgedBy([after], other))
    assert (common.classes.names, common.classes.ids) == (("dog",), (2,))
    [pair] = common.pairs
    assert (pair.class_name, pair.box, pair.gained, pair.lost) == ("dog", DOG, False, False)
    [record] = common.records
    assert record.truth.boxes.tolist() == [list(DOG)]
    assert record.truth.labels.tolist() == [0]
    assert record.areas.tolist() == [40 * 50]
    for side, score in ((common.before, 0.8), (common.after, 0.6)):
        assert side[0].boxes.tolist() == [list(DOG)]
        assert side[0].labels.tolist() == [0]
        assert round(float(side[0].scores[0]), 4) == score


def test_an_image_that_one_detector_cannot_use_is_left_out() -> None:
    common = common_to(JudgedBy([image(1), image(2)], CLASSES), JudgedBy([image(2), image(3)], CLASSES))
    assert [record.file_name for record in common.records] == ["2.png"]
    assert common.left_out == 2
    assert len(common.pairs) == 2


def test_without_a_common_class_nothing_is_common() -> None:
    common = common_to(JudgedBy([image(1)], CLASSES), JudgedBy([], ClassMap(("cow",), (3,))))
    assert (len(common.classes), common.pairs, common.records) == (0, (), ())
