"""The moving average of the weights, by hand."""

from __future__ import annotations

import torch

from faster_rcnn.training.averaging import AveragedModel
from tiny import tiny_model


def test_the_average_follows_slowly_and_early_steps_weigh_more() -> None:
    model = tiny_model()
    average = AveragedModel(model, decay=0.5)
    start = model.roi.classes.weight.detach().clone()
    with torch.no_grad():
        model.roi.classes.weight += 1
    average.update(model, step=0)  # decay min(0.5, 1 / 10): nine tenths of the way
    torch.testing.assert_close(average.model.roi.classes.weight, start + 0.9)
    average.update(model, step=1000)  # decay 0.5: half of what is left
    torch.testing.assert_close(average.model.roi.classes.weight, start + 0.95)


def test_the_average_is_a_copy_without_gradient_and_takes_the_buffers_as_they_are() -> None:
    model = tiny_model()
    average = AveragedModel(model, decay=0.5)
    assert not any(each.requires_grad for each in average.model.parameters())
    with torch.no_grad():
        for buffer in model.buffers():
            buffer.add_(1)
    assert not any(
        torch.equal(own, new) for own, new in zip(average.model.buffers(), model.buffers(), strict=True) if own.numel()
    )
    average.update(model, step=0)
    for own, new in zip(average.model.buffers(), model.buffers(), strict=True):
        assert torch.equal(own, new)
