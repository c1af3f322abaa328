from __future__ import annotations

from dataclasses import replace

import torch

from faster_rcnn.inference.tiles import Tile
from files import CLASSES
from made_recordings import SCALE, WHOLE, Way, made_recording
from tiny import boxes_of

TRUTH = (20.0, 20.0, 40.0, 40.0)
TILE = Tile(10, 5, 70, 65)


def test_boxes_of_a_tile_move_to_the_image_and_back() -> None:
    part = made_recording([], tiles=[(TILE, [Way(TRUTH)])]).parts[1]
    assert (part.size, part.resized) == ((60, 60), (60 * SCALE, 60 * SCALE))
    # 2 * (20 - 10) = 20 and 2 * (20 - 5) = 30
    assert part.in_part(boxes_of([TRUTH])).tolist() == [[20, 30, 60, 70]]
    assert part.in_image(boxes_of([(20, 30, 60, 70)])).tolist() == [list(TRUTH)]
    assert part.in_image(torch.zeros(2, 3, 4)).tolist() == [[[10, 5, 10, 5]] * 3] * 2  # any shape before the corners
    assert part.in_image(torch.tensor([20.0, 30, 60, 70])).tolist() == list(TRUTH)


def test_both_sides_have_a_scale_of_their_own() -> None:
    part = made_recording([Way(TRUTH)]).whole
    stretched = replace(part, place=Tile(0, 0, 50, 80))  # resized to 200 x 160
    assert stretched.in_image(boxes_of([(40, 40, 80, 80)])).tolist() == [[10, 20, 20, 40]]
    assert stretched.in_part(boxes_of([(10, 20, 20, 40)])).tolist() == [[40, 40, 80, 80]]


def test_a_recording_has_the_size_of_the_image_and_the_classes_of_the_detector() -> None:
    recording = made_recording([Way(TRUTH)])
    assert recording.size == (WHOLE.y2, WHOLE.x2)
    assert recording.classes == CLASSES
    assert recording.whole is recording.parts[0]


def test_reported_are_the_detections_of_at_least_conf() -> None:
    recording = made_recording([Way(TRUTH, scores=(0.6, 0.3, 0.05))])
    assert recording.detections.scores.tolist() == recording.detections.scores.sort(descending=True).values.tolist()
    assert len(recording.detections) == 2  # 0.05 is not above the floor
    assert len(recording.reported) == 1
    score = float(recording.detections.scores[1])
    assert len(replace(recording, conf=score).reported) == 2


def test_a_detection_has_its_part() -> None:
    far = Way((60.0, 50.0, 80.0, 70.0), scores=(0.95, 0.01, 0.01))
    recording = made_recording([far], tiles=[(TILE, [Way(TRUTH)])])
    assert recording.part_of(0) is recording.parts[0]
    assert recording.part_of(1) is recording.parts[1]
    assert made_recording([far]).part_of(0).place == WHOLE
