"""Occlusion map: which part of a region the class of its detection depends on.

Zeiler and Fergus (arXiv 1311.2901, section 4.2) cover parts of an image and measure how much the score falls. Here the
covered parts are the bins of the region's pooled features, the only values that the second stage reads, so that one
batch of its network suffices.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from faster_rcnn.errors import OptionError
from faster_rcnn.explanation.record.recording import Recording
from faster_rcnn.roi.detections import class_probabilities

BLOCKS = 7
"""The largest number of parts along a side; heads with more bins (14 x 14 in C4 models) are covered in blocks."""


def occlusion_map(recording: Recording, detection: int) -> Float[Tensor, "rows columns"]:
    """How much the score of a detection falls when one part of its region is covered.

    Args:
        recording: the recorded image.
        detection: index in ``recording.detections``.

    Returns:
        Score with all features minus the score with the bins of that part set to 0, -1..1; row 0 is the top of the
        detection's proposal. Negative values are parts whose absence raises the score. Without a second stage there
        are no pooled features: raises ``OptionError``.
    """
    part, origins = recording.part_of(detection), recording.detections.proposals
    if part.second is None or origins is None:
        raise OptionError(
            "an occlusion map covers pooled features, which a first stage alone does not have; explain an image with "
            "a detector of two stages",
            code="E125",
        )
    pooled = part.second.pooled[int(origins[detection])]  # (C, S, S)
    label = int(recording.detections.labels[detection])
    with recording.predictor.detector.computing():
        scores = class_probabilities(part.network.roi.outputs(_covered(pooled)).logits)[:, label]  # (1 + B * B,)
    count = min(BLOCKS, pooled.shape[-1])
    return (scores[0] - scores[1:]).reshape(count, count).float().cpu()


def _covered(pooled: Float[Tensor, "channels side side"]) -> Float[Tensor, "copies channels side side"]:
    """The features as they are, then a copy for each part, row by row, with that part set to 0."""
    side = pooled.shape[-1]
    count = min(BLOCKS, side)
    parts = torch.arange(side, device=pooled.device) * count // side  # (S,): the part of each row and column
    numbers = parts[:, None] * count + parts  # (S, S)
    kept = numbers != torch.arange(count * count, device=pooled.device)[:, None, None]  # (B * B, S, S)
    return torch.cat([pooled[None], pooled * kept[:, None]])
