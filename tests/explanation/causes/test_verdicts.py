from __future__ import annotations

import math

import pytest
import torch

from faster_rcnn.explanation.causes.kinds import Thresholds, VerdictKind
from faster_rcnn.explanation.causes.matching import UNMATCHED, match_detections
from faster_rcnn.explanation.causes.verdicts import verdicts_on
from faster_rcnn.explanation.record.recorder import record
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.inference.tiles import Tile, Tiling
from faster_rcnn.structures import GroundTruth
from files import loaded_model
from made_recordings import Way, made_recording
from tiny import random_image, truth_of

TRUTH = (20.0, 20.0, 40.0, 40.0)
FAR = (60.0, 50.0, 80.0, 70.0)
HALF = Thresholds(0.5, 0.5)


def test_a_found_truth_has_its_detection() -> None:
    recording = made_recording([Way(FAR, scores=(0.95, 0.01, 0.01)), Way(TRUTH)])
    [found] = verdicts_on(recording, truth_of([TRUTH]), HALF)
    assert (found.kind, found.detection, found.missed) == (VerdictKind.FOUND, 1, False)
    assert (found.value, found.limit, found.setting) == (None, None, None)
    assert found.life is not None
    assert found.life.box == pytest.approx(TRUTH, abs=1e-3)


def test_no_external_proposal_lies_on_the_truth() -> None:
    [found] = verdicts_on(made_recording([Way(FAR)], kind="fast-rcnn"), truth_of([TRUTH]), HALF)
    assert (found.kind, found.value, found.limit, found.setting) == (VerdictKind.NO_PROPOSAL, 0, 0.5, None)
    assert found.life is not None
    assert (found.life.anchor, found.life.proposal_box) == (None, FAR)
    [found] = verdicts_on(made_recording([], kind="fast-rcnn"), truth_of([TRUTH]), HALF)
    assert (found.kind, found.value, found.life) == (VerdictKind.NO_PROPOSAL, 0, None)


def test_external_proposals_are_judged_by_the_second_stage_alone() -> None:
    way = Way(TRUTH, scores=(0.1, 0.1, 0.1))
    [found] = verdicts_on(made_recording([way], kind="fast-rcnn"), truth_of([TRUTH]), HALF)
    assert found.kind == VerdictKind.BACKGROUND


def test_an_ignored_truth_has_no_verdict() -> None:
    truth = truth_of([TRUTH, FAR], ignored=[True, False])
    [found] = verdicts_on(made_recording([Way(FAR)]), truth, HALF)
    assert (found.truth, found.kind) == (1, VerdictKind.FOUND)


def test_a_label_counts() -> None:
    [found] = verdicts_on(made_recording([Way(TRUTH)]), truth_of([TRUTH], labels=[1]), HALF)
    assert (found.label, found.kind) == (1, VerdictKind.OTHER_CLASS)


def test_a_truth_outside_the_image_has_a_verdict() -> None:
    """As a careless caller may give it."""
    [found] = verdicts_on(made_recording([Way(TRUTH)]), truth_of([(200, 200, 220, 220)]), HALF)
    assert found.kind == VerdictKind.NO_ANCHOR


def test_the_part_in_which_the_truth_came_furthest_decides() -> None:
    """The whole image has no anchor for the truth; a tile finds its region and takes it for background."""
    unsure = Way(TRUTH, scores=(0.1, 0.1, 0.1))
    recording = made_recording([Way(FAR)], tiles=[(Tile(10, 10, 70, 70), [unsure])])
    [found] = verdicts_on(recording, truth_of([TRUTH]), HALF)
    assert found.kind == VerdictKind.BACKGROUND
    assert found.life is not None
    assert found.life.part == 1
    assert found.life.box == pytest.approx(TRUTH, abs=1e-3)


def test_a_tile_that_shows_little_of_the_truth_is_not_considered() -> None:
    """The tile shows 9 of the truth's 20 columns, and its region ends at the border of the tile."""
    piece = Way((31.0, 20.0, 40.0, 40.0), scores=(0.1, 0.1, 0.1))
    recording = made_recording([Way(FAR)], tiles=[(Tile(31, 0, 91, 60), [piece])])
    [found] = verdicts_on(recording, truth_of([TRUTH]), Thresholds(0.5, 0.4))
    assert found.kind == VerdictKind.NO_ANCHOR


@pytest.mark.parametrize("tiling", [None, Tiling(80, 0.25)])
@pytest.mark.parametrize("conf", [0.05, 0.6])
def test_every_truth_has_one_verdict_and_those_with_a_partner_are_found(conf: float, tiling: Tiling | None) -> None:
    predictor = Predictor(prepare(loaded_model(), torch.device("cpu"), torch.float32), tiling=tiling)
    recording = record(predictor, random_image(90, 120), conf)
    generator = torch.Generator().manual_seed(1)
    corners = torch.rand(40, 2, generator=generator) * 80
    sides = torch.rand(40, 2, generator=generator) * 40 + 2
    near = recording.detections.boxes[::7][:20]
    boxes = torch.cat((torch.cat((corners, corners + sides), dim=1), near))
    labels = torch.randint(3, (len(boxes),), generator=generator)
    truth = GroundTruth(boxes, labels, torch.rand(len(boxes), generator=generator) < 0.2)
    verdicts = verdicts_on(recording, truth, Thresholds(conf, 0.5))
    assert [verdict.truth for verdict in verdicts] == torch.nonzero(~truth.ignored)[:, 0].tolist()
    partners = match_detections(recording.reported, truth, 0.5).detections
    for verdict in verdicts:
        partner = int(partners[verdict.truth])
        assert verdict.missed == (partner == UNMATCHED)
        assert verdict.detection == (None if verdict.missed else partner)
        assert not verdict.missed or (verdict.value is not None and math.isfinite(verdict.value))
    assert len({verdict.kind for verdict in verdicts}) > 2
