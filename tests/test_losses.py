"""The losses as values: their sum, their names, and the stages that they are of."""

from __future__ import annotations

import torch

from faster_rcnn.losses import Losses, RoiLosses, RpnLosses


def test_the_total_is_the_sum_of_the_four_losses_in_the_order_of_the_stages() -> None:
    losses = Losses(*torch.tensor([1.0, 20.0, 300.0, 4000.0]).unbind())
    assert float(losses.total) == 4321.0
    assert list(losses.named()) == ["rpn_objectness", "rpn_box", "roi_class", "roi_box"]
    assert [float(loss) for loss in losses.named().values()] == [1.0, 20.0, 300.0, 4000.0]


RPN = RpnLosses(objectness=torch.tensor(1.0), box=torch.tensor(20.0))
ROI = RoiLosses(classes=torch.tensor(300.0), box=torch.tensor(4000.0))


def test_a_detector_of_one_stage_has_two_losses() -> None:
    assert Losses.of_stages(RPN, ROI).total.item() == 4321.0
    first, second = Losses.of_stages(RPN, None), Losses.of_stages(None, ROI)
    assert (list(first.named()), first.total.item()) == (["rpn_objectness", "rpn_box"], 21.0)
    assert (list(second.named()), second.total.item()) == (["roi_class", "roi_box"], 4300.0)


def test_each_part_counts_by_its_weight() -> None:
    whole = Losses.of_stages(RPN, ROI)
    # 0.25 + 2 * 0.75 = 1.75 times each loss.
    mean = Losses.weighted([(0.25, whole), (1.5, whole)])
    assert [each.item() for each in mean.named().values()] == [1.75, 35.0, 525.0, 7000.0]
    one_stage = Losses.weighted([(0.5, Losses.of_stages(RPN, None))])
    assert (one_stage.roi_class, one_stage.roi_box) == (None, None)
    assert one_stage.total.item() == 10.5


def test_the_total_has_the_gradient_of_every_loss() -> None:
    value = torch.tensor(3.0, requires_grad=True)
    Losses.of_stages(RpnLosses(value, 2 * value), RoiLosses(4 * value, 8 * value)).total.backward()
    assert value.grad is not None
    assert value.grad.item() == 15.0
