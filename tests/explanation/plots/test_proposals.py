from __future__ import annotations

import torch

from drawn_pictures import differ, pixels_of
from explained_images import tiny_explained
from faster_rcnn.explanation.plots.figure import WIDTH
from faster_rcnn.explanation.plots.heat import colour_at
from faster_rcnn.explanation.plots.proposals import best_before_nms, plot_proposals
from faster_rcnn.explanation.record.fates import Fate
from tiny import truth_of


def test_the_best_boxes_before_nms_are_those_that_reach_it() -> None:
    anchors = tiny_explained().fates[0].anchors
    assert anchors is not None
    best = best_before_nms(anchors, 20)
    scores = anchors.objectness[best]
    assert torch.equal(scores, scores.sort(descending=True).values)
    assert bool((anchors.fates[best] >= Fate.SUPPRESSED).all())
    left_out = anchors.fates >= Fate.SUPPRESSED
    left_out[best] = False
    assert float(anchors.objectness[left_out].max()) <= float(scores[-1])
    assert len(best_before_nms(anchors, 10**6)) == int((anchors.fates >= Fate.SUPPRESSED).sum())


def test_before_and_after_stand_side_by_side() -> None:
    explained = tiny_explained()
    picture = plot_proposals(explained.recording, explained.fates[0], 1)
    # One box in each half; it is the best of all, in the colour of the highest objectness.
    assert pixels_of(picture, colour_at(0.0), (16, 43, 492, 400)) > 100
    assert pixels_of(picture, colour_at(0.0), (508, 43, 984, 400)) > 100
    assert differ(picture, plot_proposals(explained.recording, explained.fates[0], 30))


def test_truths_are_dashed() -> None:
    plain, known = tiny_explained(), tiny_explained(truth_of([[8.0, 12.0, 60.0, 70.0]]))
    assert differ(plot_proposals(plain.recording, plain.fates[0]), plot_proposals(known.recording, known.fates[0]))


def test_external_proposals_are_drawn_alone() -> None:
    explained = tiny_explained(kind="fast-rcnn")
    picture = plot_proposals(explained.recording, explained.fates[0])
    assert picture.width == WIDTH
    # One image over the whole width.
    assert picture.getpixel((500, 300)) != (255, 255, 255)


def test_no_proposals_leave_the_image() -> None:
    nothing = {"anchor_sizes": ((8.0,), (16.0,), (32.0,), (64.0,), (128.0,)), "score_floor": 0.9999999}
    explained = tiny_explained(rpn=nothing)
    assert plot_proposals(explained.recording, explained.fates[0]).width == WIDTH
