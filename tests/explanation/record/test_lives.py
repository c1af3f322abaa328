from __future__ import annotations

import pytest
import torch

from faster_rcnn.explanation.record.lives import Life, corners, fates_of, life_of_detection
from faster_rcnn.explanation.record.recorder import record
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.inference.tiles import Tile, Tiling
from files import loaded_model
from made_recordings import Way, made_recording
from tiny import boxes_of, random_image

ANCHOR, PROPOSAL, OUTPUT = (20.0, 20.0, 40.0, 40.0), (20.0, 20.0, 40.0, 50.0), (20.0, 20.0, 40.0, 60.0)
WAY = Way(ANCHOR, objectness=0.9, proposal=PROPOSAL, scores=(0.7, 0.2, 0.04), box=OUTPUT)
FAR = Way((60.0, 50.0, 80.0, 70.0), objectness=0.95)


def test_a_region_has_all_its_steps() -> None:
    [fates] = fates_of(made_recording([WAY, FAR]))
    life = fates.life_of_region(1, 0)
    assert (life.part, life.label, life.anchor, life.proposal, life.rank) == (0, 0, 0, 1, 2)
    assert life.anchor_box == ANCHOR
    assert life.proposal_box == pytest.approx(PROPOSAL, abs=1e-4)
    assert life.box == pytest.approx(OUTPUT, abs=1e-3)
    assert (life.objectness, life.score, life.background) == pytest.approx((0.9, 0.7, 0.06))
    assert life.rival == pytest.approx((1, 0.2))
    assert fates.life_of_region(1, 2).rival == pytest.approx((0, 0.7))


def test_the_iou_of_each_step_with_a_box() -> None:
    [fates] = fates_of(made_recording([WAY]))
    truth = boxes_of([OUTPUT])[0]
    # Heights 20, 30 and 40 of 40.
    assert fates.life_of_region(0, 0).ious(truth) == pytest.approx((0.5, 0.75, 1.0), abs=1e-4)
    assert fates.life_of_anchor(0, 0).ious(truth) == pytest.approx((0.5, 0.75, None))
    assert Life(0, 0).ious(truth) == (None, None, None)


def test_an_anchor_that_became_no_proposal_has_the_first_steps_only() -> None:
    [fates] = fates_of(made_recording([WAY, FAR], rpn={"proposals_after_nms": 1}))
    life = fates.life_of_anchor(0, 2)
    assert (life.anchor, life.rank, life.label, life.proposal, life.score, life.box) == (0, 2, 2, None, None, None)
    assert life.proposal_box == pytest.approx(PROPOSAL, abs=1e-4)


def test_an_external_proposal_has_no_anchor() -> None:
    [fates] = fates_of(made_recording([WAY], kind="fast-rcnn"))
    life = fates.life_of_region(0, 0)
    assert (life.anchor, life.anchor_box, life.objectness, life.rank) == (None, None, None, None)
    assert life.proposal_box == PROPOSAL
    assert fates.anchors is None
    with pytest.raises(ValueError, match="external proposals have no anchors"):
        fates.life_of_anchor(0, 0)


def test_a_proposal_of_a_first_stage_alone_is_its_output() -> None:
    [fates] = fates_of(made_recording([WAY], kind="rpn"))
    life = fates.life_of_region(0, 0)
    assert life.box == life.proposal_box == pytest.approx(PROPOSAL, abs=1e-4)
    assert life.score == pytest.approx(0.9)
    assert (life.background, life.rival) == (None, None)
    assert fates.regions is None


@pytest.mark.parametrize("tiling", [None, Tiling(60, 0.25)])
def test_the_life_of_a_detection_ends_in_its_box_and_score(tiling: Tiling | None) -> None:
    predictor = Predictor(prepare(loaded_model(), torch.device("cpu"), torch.float32), tiling=tiling)
    recording = record(predictor, random_image(70, 100), 0.3)
    fates = fates_of(recording)
    found, equal = recording.detections, 0
    for index in range(min(20, len(found))):
        life = life_of_detection(recording, fates, index)
        assert life.score == float(found.scores[index])
        assert life.label == int(found.labels[index])
        assert life.part == (0 if found.parts is None else int(found.parts[index]))
        assert life.box is not None
        equal += life.box == pytest.approx(tuple(found.boxes[index].tolist()), abs=1e-3)
        part = recording.parts[life.part]
        assert part.proposals.anchors is not None
        assert life.proposal is not None
        assert life.anchor == int(part.proposals.anchors[life.proposal])
    assert equal >= (20 if tiling is None else 10)  # pieces that were joined have the life of their best piece


def test_boxes_of_a_tile_are_in_pixels_of_the_image() -> None:
    recording = made_recording([], tiles=[(Tile(10, 10, 70, 70), [WAY])])
    life = life_of_detection(recording, fates_of(recording), 0)
    assert (life.part, life.anchor_box) == (1, ANCHOR)
    assert life.box == pytest.approx(OUTPUT, abs=1e-3)


def test_corners() -> None:
    assert corners(torch.tensor([1.0, 2, 3, 4.5])) == (1, 2, 3, 4.5)
