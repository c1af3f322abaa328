from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from explained_images import tiny_explained
from faster_rcnn.errors import OptionError
from faster_rcnn.explanation.occlusion import BLOCKS, occlusion_map
from faster_rcnn.explanation.record.recording import Recording


def by_hand(recording: Recording, detection: int, row: int, column: int) -> float:
    """The fall of the score with one bin covered, computed by the head itself, one region at a time."""
    part, origins = recording.whole, recording.detections.proposals
    assert part.second is not None
    assert origins is not None
    pooled = part.second.pooled[int(origins[detection])].clone()[None]
    label = int(recording.detections.labels[detection])
    with torch.no_grad():
        before = part.network.roi.outputs(pooled).logits.softmax(dim=1)[0, label]
        pooled[:, :, row, column] = 0
        after = part.network.roi.outputs(pooled).logits.softmax(dim=1)[0, label]
    return float(before - after)


def test_each_number_is_the_fall_of_the_score_with_that_bin_covered() -> None:
    recording = tiny_explained().recording
    for detection in (0, 5):
        found = occlusion_map(recording, detection)
        assert found.shape == (7, 7)
        assert float(found.abs().max()) > 1e-4
        for row, column in ((0, 0), (2, 5), (6, 6), (5, 2)):
            assert float(found[row, column]) == pytest.approx(by_hand(recording, detection, row, column), abs=1e-6)


def test_only_the_bin_that_the_class_depends_on_counts() -> None:
    recording = tiny_explained().recording
    roi = recording.whole.network.roi
    with torch.no_grad():
        # The hidden layer reads the bin in row 1, column 4 of the first channel, and the class reads the hidden layer.
        [layer] = (each for each in roi.head.modules() if isinstance(each, torch.nn.Linear))
        layer.weight.zero_()
        layer.bias.fill_(1.0)
        layer.weight[:, 7 + 4] = 3.0
    part = recording.whole
    assert part.second is not None
    changed = replace(part, second=replace(part.second, pooled=part.second.pooled.abs() + 0.5))
    found = occlusion_map(replace(recording, parts=(changed,)), 0)
    others = torch.ones(7, 7, dtype=torch.bool)
    others[1, 4] = False
    assert float(found[1, 4].abs()) > 1e-3
    assert_close(found[others], torch.zeros(48), rtol=0, atol=1e-6)


def test_of_a_larger_grid_blocks_of_bins_are_covered() -> None:
    recording = tiny_explained(roi={"pooled_side": 14, "head_hidden": (32,), "score_floor": 0.0}).recording
    assert occlusion_map(recording, 0).shape == (BLOCKS, BLOCKS)


def test_a_first_stage_alone_has_no_pooled_features() -> None:
    recording = tiny_explained(names=("object",), kind="rpn").recording
    with pytest.raises(OptionError, match="pooled features"):
        occlusion_map(recording, 0)
