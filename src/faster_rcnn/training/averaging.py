"""Moving average of the weights; where it is on, the averaged model is saved and validated."""

from __future__ import annotations

import copy

import torch

from faster_rcnn.model import FasterRCNN


class AveragedModel:
    """A copy of a model whose trained weights follow it slowly."""

    def __init__(self, model: FasterRCNN, decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: FasterRCNN, step: int) -> None:
        """Move towards ``model`` after its step number ``step`` (from 0).

        Early averages forget faster, since the random initial weights would otherwise count for too long.
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        trained = [(own, new) for own, new in zip(self.model.parameters(), model.parameters(), strict=True)]
        torch._foreach_lerp_([own for own, _ in trained], [new for _, new in trained], 1 - decay)
        for own_buffer, buffer in zip(self.model.buffers(), model.buffers(), strict=True):
            own_buffer.copy_(buffer)
