from __future__ import annotations

import pytest
import torch

from drawn_pictures import differ
from explained_images import tiny_explained
from faster_rcnn.errors import OptionError
from faster_rcnn.explanation.plots.figure import WIDTH
from faster_rcnn.explanation.plots.objectness import objectness_maps, plot_objectness
from tiny import COARSE, truth_of


def test_each_position_has_the_objectness_of_its_best_anchor() -> None:
    part = tiny_explained().recording.whole
    assert part.first is not None
    maps = objectness_maps(part, part.first)
    assert [tuple(each.shape) for each in maps.values()] == [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]
    scores = part.first.output.logits[0, :, 0].sigmoid()
    # Row 2, column 5 of P3 has the anchors 1152 + 3 * 29 and the next two.
    assert float(maps[1][2, 5]) == float(scores[1239:1242].max())
    assert float(torch.cat([each.flatten() for each in maps.values()]).max()) == float(scores.max())


def test_two_outputs_are_a_softmax() -> None:
    softmax = {"objectness": "softmax", "anchor_sizes": ((8.0,), (16.0,), (32.0,), (64.0,), (128.0,))}
    part = tiny_explained(rpn=softmax).recording.whole
    assert part.first is not None
    expected = part.first.output.logits[0].softmax(dim=1)[:3, 1].max()
    torch.testing.assert_close(objectness_maps(part, part.first)[0][0, 0], expected)


def test_truths_are_dashed_over_the_maps() -> None:
    plain, known = tiny_explained(), tiny_explained(truth_of([[8.0, 12.0, 60.0, 70.0]]))
    picture = plot_objectness(plain.recording, plain.fates[0])
    assert picture.width == WIDTH
    assert differ(picture, plot_objectness(known.recording, known.fates[0]))


def test_external_proposals_have_no_objectness() -> None:
    external = tiny_explained(kind="fast-rcnn")
    with pytest.raises(OptionError, match="no objectness"):
        plot_objectness(external.recording, external.fates[0])


def test_levels_without_anchors_have_no_objectness() -> None:
    coarse = tiny_explained(rpn={"anchor_sizes": COARSE})
    part = coarse.recording.whole
    assert part.first is not None
    assert {index: tuple(each.shape) for index, each in objectness_maps(part, part.first).items()} == {
        1: (8, 12),
        2: (4, 6),
        3: (2, 3),
        4: (1, 2),
    }
    assert plot_objectness(coarse.recording, coarse.fates[0]).width == WIDTH
