from __future__ import annotations

import pytest
import torch
from torch import Tensor

from explained_images import tiny_explained
from faster_rcnn.explanation.causes.explained import Explained
from faster_rcnn.explanation.occlusion import occlusion_map
from faster_rcnn.explanation.page_boxes import MAX_PROPOSALS, PageBox, page_boxes
from faster_rcnn.inference.tiles import Tiling
from faster_rcnn.structures import GroundTruth
from tiny import truth_of

ANYWHERE = truth_of([[10, 10, 60, 70], [70, 20, 120, 90]], [1, 0])


def of_kind(boxes: tuple[PageBox, ...], kind: str) -> list[PageBox]:
    return [box for box in boxes if box.kind == kind]


def iou_of(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """IoU from the areas."""
    wide = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    high = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return wide * high / (sum(areas) - wide * high)


def found_truth(explained: Explained) -> GroundTruth:
    """A truth that the best detection fits exactly, and one that nothing fits."""
    best = explained.detections
    return truth_of([best.boxes[0].tolist(), [0, 0, 3, 3]], [int(best.labels[0]), 2])


def test_each_detection_has_the_anchor_the_proposal_and_the_output_of_the_pass() -> None:
    explained = tiny_explained()
    part, detections = explained.recording.whole, explained.detections
    boxes = of_kind(page_boxes(explained), "detection")
    assert len(boxes) == len(detections)
    assert detections.proposals is not None
    assert part.first is not None
    assert part.proposals.anchors is not None
    for index, box in enumerate(boxes):
        proposal = int(detections.proposals[index])
        anchor = int(part.proposals.anchors[proposal])
        assert [step.name for step in box.steps] == ["anchor", "proposal", "output"]
        expected = (part.first.anchors.boxes[anchor], part.proposals.boxes[proposal])
        for step, boxed in zip(box.steps, expected, strict=False):
            torch.testing.assert_close(torch.tensor(step.box), part.in_image(boxed), rtol=0, atol=1e-3)
        torch.testing.assert_close(torch.tensor(box.steps[2].box), detections.boxes[index], rtol=0, atol=1e-2)
        assert box.steps[2].score == f"score {float(detections.scores[index]):.3f}"
        assert all(step.iou is None for step in box.steps)


def test_with_truth_every_step_has_its_iou_and_every_truth_its_verdict() -> None:
    explained = tiny_explained(found_truth(tiny_explained()))
    boxes = page_boxes(explained, ["", "Lower --conf."])
    best, [found, lost] = of_kind(boxes, "detection")[0], of_kind(boxes, "truth")
    assert best.notes == ("It counts for a truth.",)
    assert best.truth is not None
    for box in (best, found, lost):
        assert box.truth is not None
        for step in box.steps:
            assert step.iou == pytest.approx(iou_of(step.box, box.truth), abs=1e-6)
    assert best.steps[-1].iou == pytest.approx(1.0, abs=1e-4)
    assert found.notes[0] == "Found."
    assert lost.notes[0] == f"Verdict: {explained.verdicts[1].kind}."
    assert lost.notes[-1] == "Lower --conf."


def test_each_false_positive_names_its_kind_in_both_vocabularies() -> None:
    explained = tiny_explained(ANYWHERE)
    boxes = of_kind(page_boxes(explained), "detection")
    assert explained.false_positives
    for each in explained.false_positives:
        assert boxes[each.detection].notes[0] == f"False positive, {each.kind} (TIDE: {each.tide})."


def test_an_ignored_truth_has_no_verdict_and_excuses_a_detection_on_it() -> None:
    plain = tiny_explained().detections
    truth = truth_of([plain.boxes[0].tolist()], [int(plain.labels[0])], [True])
    boxes = page_boxes(tiny_explained(truth))
    [ignored] = of_kind(boxes, "truth")
    assert "ignored" in ignored.notes[0]
    assert ignored.steps == ()
    assert "ignored" in of_kind(boxes, "detection")[0].notes[0]


def test_the_falls_are_those_of_the_occlusion_map() -> None:
    explained = tiny_explained()
    boxes = of_kind(page_boxes(explained), "detection")
    for index in (0, 3):
        expected = occlusion_map(explained.recording, index)
        torch.testing.assert_close(torch.tensor(boxes[index].falls), expected, rtol=0, atol=1e-7)
        assert boxes[index].region == boxes[index].steps[1].box


def test_without_detections_the_best_proposals_are_there_with_their_likeliest_class() -> None:
    explained = tiny_explained(conf=1.0)
    boxes = page_boxes(explained)
    assert {box.kind for box in boxes} == {"proposal"}
    assert len(boxes) == min(MAX_PROPOSALS, len(explained.recording.whole.proposals.scores))
    logits: Tensor = explained.recording.whole.second.output.logits  # type: ignore[union-attr]
    names = [explained.classes.name_of(int(row[:-1].argmax())) for row in logits]
    for index, box in enumerate(boxes):
        assert names[index] in box.notes[1]
        assert box.score == pytest.approx(float(explained.recording.whole.proposals.scores[index]))


def test_external_proposals_have_no_anchors_and_a_first_stage_alone_no_second_transform() -> None:
    external = of_kind(page_boxes(tiny_explained(kind="fast-rcnn", conf=0.1)), "detection")
    assert external
    assert {tuple(step.name for step in box.steps) for box in external} == {("proposal", "output")}
    alone = of_kind(page_boxes(tiny_explained(kind="rpn", names=("object",), conf=0.1)), "detection")
    assert alone
    assert {tuple(step.name for step in box.steps) for box in alone} == {("anchor", "proposal")}
    assert not any(box.falls for box in alone)


def test_with_tiles_a_box_has_the_steps_of_its_tile() -> None:
    explained = tiny_explained(tiling=Tiling(64, 0.2), conf=0.36)
    assert explained.detections.parts is not None
    assert len(explained.detections.parts.unique()) > 1
    boxes = of_kind(page_boxes(explained), "detection")
    for index, box in enumerate(boxes):
        part = explained.recording.parts[int(explained.detections.parts[index])]
        origin = int(explained.detections.proposals[index])  # type: ignore[index]
        expected = part.in_image(part.proposals.boxes[origin])
        torch.testing.assert_close(torch.tensor(box.steps[1].box), expected, rtol=0, atol=1e-3)


def test_names_are_printable_and_numbers_are_rounded_for_the_page() -> None:
    explained = tiny_explained(names=("cat\u202e", "dog\u202e", "hen\u202e"))
    [first, *_] = page_boxes(explained)
    assert first.name in {"cat\\u202e", "dog\\u202e", "hen\\u202e"}
    assert "\u202e" not in first.steps[1].score
    written = first.to_json()
    assert written["box"] == [round(value, 1) for value in first.box]
    assert written["falls"][2][3] == round(first.falls[2][3], 4)
