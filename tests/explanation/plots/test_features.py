from __future__ import annotations

import pytest
import torch

from drawn_pictures import differ
from explained_images import tiny_explained
from faster_rcnn.errors import OptionError
from faster_rcnn.explanation.plots.features import most_active, plot_features
from faster_rcnn.explanation.plots.figure import WIDTH


def test_the_most_active_channels_have_the_highest_mean_absolute_activation() -> None:
    features = torch.zeros(4, 2, 2)
    features[1] = -3.0
    features[2, 0, 0] = 8.0  # 2 on average
    features[3] = 1.0
    assert most_active(features) == [1, 2, 3]
    assert most_active(features[:2]) == [1, 0]


def test_levels_and_channels_are_drawn() -> None:
    explained = tiny_explained()
    own = plot_features(explained.recording, explained.fates[0])
    assert own.width == WIDTH
    other = plot_features(explained.recording, explained.fates[0], 3)
    assert differ(own, other)
    # The upper half, with the mean of each level, is the same.
    assert not differ(own.crop((0, 0, WIDTH, 400)), other.crop((0, 0, WIDTH, 400)))


def test_one_level_alone_and_no_second_stage() -> None:
    one = tiny_explained(backbone={"levels": (4,), "neck": "none"}, rpn={"anchor_sizes": ((32.0,),)})
    assert plot_features(one.recording, one.fates[0]).width == WIDTH
    alone = tiny_explained(kind="rpn")
    assert plot_features(alone.recording, alone.fates[0]).width == WIDTH


def test_a_level_that_does_not_exist() -> None:
    explained = tiny_explained()
    with pytest.raises(OptionError, match=r"level 5: this detector has the levels 0 \(P2\), .* 4 \(P6\)"):
        plot_features(explained.recording, explained.fates[0], 5)
