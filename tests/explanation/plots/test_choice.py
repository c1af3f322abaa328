from __future__ import annotations

import pytest

from explained_images import tiny_explained
from faster_rcnn.errors import OptionError
from faster_rcnn.explanation.plots.choice import (
    best_proposals,
    chosen_detection,
    chosen_part,
    chosen_proposal,
    detections_of_part,
    first_of,
    followed_anchor,
    part_of_detection,
    second_of,
    truth_of,
)
from faster_rcnn.inference.tiles import Tiling

NO_PROPOSALS = {"anchor_sizes": ((8.0,), (16.0,), (32.0,), (64.0,), (128.0,)), "score_floor": 0.9999999}


def test_the_part_of_the_best_detection_is_drawn() -> None:
    explained = tiny_explained(size=(100, 200), tiling=Tiling(100, 0.2))
    parts = explained.recording.detections.parts
    assert parts is not None
    assert chosen_part(explained.recording, explained.fates, None).index == int(parts[0])
    assert chosen_part(explained.recording, explained.fates, 2) is explained.fates[2]
    assert part_of_detection(explained.recording, 1) == int(parts[1])
    with pytest.raises(OptionError, match=r"part 9: the image has 4, .* choose one of 0 to 3"):
        chosen_part(explained.recording, explained.fates, 9)


def test_an_image_that_is_not_cut_is_one_part() -> None:
    explained = tiny_explained()
    assert chosen_part(explained.recording, explained.fates, None).index == 0
    assert part_of_detection(explained.recording, 0) is None


def test_stages_that_a_detector_lacks() -> None:
    with pytest.raises(OptionError, match="external proposals, so it has no anchors"):
        first_of(tiny_explained(kind="fast-rcnn").fates[0])
    with pytest.raises(OptionError, match="region proposal network alone"):
        second_of(tiny_explained(kind="rpn").fates[0])
    with pytest.raises(OptionError, match=r"detector\.trace\(image, truth=\.\.\.\)"):
        truth_of(tiny_explained().recording)


def test_proposals_of_reported_detections_come_first() -> None:
    explained = tiny_explained()
    recording, fates = explained.recording, explained.fates[0]
    own = recording.detections.proposals
    assert own is not None
    reported = own[: len(recording.reported)].tolist()
    best = best_proposals(recording, fates, 50)
    assert best[: len(set(reported))] == list(dict.fromkeys(reported))
    assert sorted(best) == list(range(50))
    assert best_proposals(recording, fates, 3) == best[:3]


def test_without_a_reported_detection_the_best_one_is_followed() -> None:
    explained = tiny_explained(conf=1.0)
    own, origins = explained.recording.detections.proposals, explained.recording.whole.proposals.anchors
    assert own is not None
    assert origins is not None
    assert best_proposals(explained.recording, explained.fates[0], 2)[0] == int(own[0])
    assert followed_anchor(explained.recording, explained.fates[0]) == int(origins[own[0]])


def test_without_a_detection_the_best_proposal_is_followed() -> None:
    explained = tiny_explained(roi={"score_floor": 0.9999, "head_hidden": (32,)})
    assert len(explained.recording.detections) == 0
    assert best_proposals(explained.recording, explained.fates[0], 2) == [0, 1]


def test_without_a_proposal_the_best_anchor_is_followed() -> None:
    explained = tiny_explained(rpn=NO_PROPOSALS)
    first = explained.recording.whole.first
    assert first is not None
    assert followed_anchor(explained.recording, explained.fates[0]) == int(first.output.logits[0, :, 0].argmax())
    with pytest.raises(OptionError, match="made no proposal in this part"):
        chosen_proposal(explained.recording, explained.fates[0], None)


def test_numbers_outside_the_range_are_refused() -> None:
    explained = tiny_explained()
    recording, fates = explained.recording, explained.fates[0]
    assert chosen_proposal(recording, fates, 49) == 49
    with pytest.raises(OptionError, match="proposal 50: this part has 50; choose one of 0 to 49"):
        chosen_proposal(recording, fates, 50)
    with pytest.raises(OptionError, match="detection 5000: the image has"):
        chosen_detection(recording, fates, 5000)


def test_a_detection_of_another_part_is_refused() -> None:
    explained = tiny_explained(size=(100, 200), tiling=Tiling(100, 0.2))
    recording = explained.recording
    parts = recording.detections.parts
    assert parts is not None
    own = int(parts[0])
    assert 0 in detections_of_part(recording, explained.fates[own])
    assert chosen_detection(recording, explained.fates[own], 0) == explained.life(0)
    with pytest.raises(OptionError, match="was found in another part"):
        chosen_detection(recording, explained.fates[(own + 1) % 4], 0)
