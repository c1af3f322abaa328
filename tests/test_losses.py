"""The losses as values: their sum, their names, and the stages that they are of."""

from __future__ import annotations

import torch

from faster_rcnn.losses import Losses, RoiLosses, RpnLosses, Term


def term(total: float, count: int = 1) -> Term:
    return Term(torch.tensor(total), torch.tensor(count))


RPN = RpnLosses(objectness=term(2.0, 2), box=term(20.0))
ROI = RoiLosses(classes=term(900.0, 3), box=term(4000.0))


def test_the_total_is_the_sum_of_the_four_losses_in_the_order_of_the_stages() -> None:
    losses = Losses.of_stages(RPN, ROI)
    assert float(losses.total) == 4321.0
    assert list(losses.named()) == ["rpn_objectness", "rpn_box", "roi_class", "roi_box"]
    assert [float(loss) for loss in losses.named().values()] == [1.0, 20.0, 300.0, 4000.0]


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
    one, two, four, eight = (Term(factor * value, torch.tensor(1)) for factor in (1, 2, 4, 8))
    Losses.of_stages(RpnLosses(one, two), RoiLosses(four, eight)).total.backward()
    assert value.grad is not None
    assert value.grad.item() == 15.0


def test_a_loss_is_a_sum_over_what_was_sampled() -> None:
    assert (term(6.0, 4).mean.item(), term(0.0, 0).mean.item()) == (1.5, 0.0)


def test_parts_of_a_batch_are_divided_by_the_numbers_of_the_whole() -> None:
    whole = Losses.of_stages(RPN, ROI)
    assert whole.counts.tolist() == [2, 1, 3, 1]
    parts = [whole.over(2 * whole.counts), whole.over(2 * whole.counts)]
    assert sum(each.total.item() for each in parts) == whole.total.item() == 4321.0
    first = Losses.of_stages(RPN, None)
    assert (first.counts.tolist(), first.over(torch.tensor([4, 10])).total.item()) == ([2, 1], 2.5)


def test_silenced_losses_add_nothing_but_have_a_gradient() -> None:
    value = torch.tensor(3.0, requires_grad=True)
    silent = Losses.of_stages(RpnLosses(Term(value, torch.tensor(5)), term(20.0)), ROI).silenced()
    assert (silent.total.item(), silent.counts.tolist()) == (0.0, [0, 0, 0, 0])
    silent.total.backward()
    assert value.grad is not None
    assert value.grad.item() == 0.0
