"""numpy alone selects the detections that the detector selects."""

from __future__ import annotations

import numpy as np
import torch
from torch.testing import assert_close

from faster_rcnn.inference.postprocessing import detections_of
from faster_rcnn.ops.nms import nms, nms_per_group


def candidates() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(30, 3, 2, generator=generator) * 50
    boxes = torch.cat((corners, corners + 5 + torch.rand(30, 3, 2, generator=generator) * 30), dim=2)
    scores = torch.rand(30, 3, generator=generator)
    scores[scores < 0.2] = -1
    return boxes, scores


def test_nms_within_classes_is_that_of_the_detector() -> None:
    boxes, scores = candidates()
    row, label = torch.nonzero(scores >= 0, as_tuple=True)
    kept = nms_per_group(boxes[row, label], scores[row, label], label, 0.4)[:20]
    found = detections_of(boxes.numpy(), scores.numpy(), 0.4, 20)
    assert_close(torch.from_numpy(found[0]), boxes[row, label][kept])
    assert_close(torch.from_numpy(found[1]), scores[row, label][kept])
    assert found[2].tolist() == label[kept].tolist()


def test_agnostic_nms_compares_all_classes() -> None:
    boxes, scores = candidates()
    row, label = torch.nonzero(scores >= 0, as_tuple=True)
    kept = nms(boxes[row, label], scores[row, label], 0.4)
    found = detections_of(boxes.numpy(), scores.numpy(), 0.4, 100, agnostic=True)
    assert_close(torch.from_numpy(found[0]), boxes[row, label][kept])


def test_without_candidates_there_are_no_detections() -> None:
    boxes, scores, labels = detections_of(np.zeros((2, 3, 4)), np.full((2, 3), -1.0), 0.5, 10)
    assert (boxes.shape, scores.shape, labels.shape) == ((0, 4), (0,), (0,))
