"""The terms of Eq. 1 by hand: log loss, smooth L1, and their normalisers."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from faster_rcnn.choices import BoxLossKind
from faster_rcnn.ops.losses import BoxLoss, box_loss, class_loss, objectness_loss

BETA_1 = BoxLoss(beta=1.0)
UNIT = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
YES, NO = torch.tensor([True]), torch.tensor([False])


def scalar(number: float) -> torch.Tensor:
    return torch.tensor(number)


# Two objects and one that is none, so that an exchange of yes and no would show.
TWO_OF_THREE, ALL_USED = torch.tensor([True, True, False]), torch.tensor([True, True, True])


def test_objectness_of_one_logit() -> None:
    # An object with logit log 3 has probability 3/4, its loss is log(4/3); no object with it costs log 4.
    loss = objectness_loss(torch.full((3, 1), math.log(3)), TWO_OF_THREE, ALL_USED).mean
    assert_close(loss, scalar((2 * math.log(4 / 3) + math.log(4)) / 3))


def test_objectness_of_two_logits_is_the_same_with_the_object_second() -> None:
    loss = objectness_loss(torch.tensor([[0.0, math.log(3)]]).repeat(3, 1), TWO_OF_THREE, ALL_USED).mean
    assert_close(loss, scalar((2 * math.log(4 / 3) + math.log(4)) / 3))


def test_class_loss_of_equal_logits_is_the_log_of_the_number_of_outputs() -> None:
    assert_close(
        class_loss(torch.zeros(5, 4), torch.tensor([0, 1, 2, 3, 3]), torch.ones(5).bool()).mean, scalar(math.log(4))
    )


def test_class_loss_by_hand() -> None:
    # exp(logits) = 1, 2, 5: the true class 2 has 5/8, the true class 0 has 1/8.
    logits = torch.tensor([[1.0, 2.0, 5.0], [1.0, 2.0, 5.0]]).log()
    loss = class_loss(logits, torch.tensor([2, 0]), torch.tensor([True, True])).mean
    assert_close(loss, scalar((math.log(8 / 5) + math.log(8)) / 2))


@pytest.mark.parametrize(
    ("error", "beta", "loss"),
    [
        (0.0, 1.0, 0.0),
        (0.5, 1.0, 0.125),  # below beta: 0.5^2 / (2 * 1)
        (-0.5, 1.0, 0.125),
        (3.0, 1.0, 2.5),  # above: 3 - 1/2 (Fast R-CNN, Eq. 3)
        (0.05, 1 / 9, 0.01125),  # 0.0025 * 9 / 2
        (1.0, 1 / 9, 1 - 1 / 18),
        (2.0, 0.0, 2.0),  # beta 0 is L1
    ],
)
def test_smooth_l1(error: float, beta: float, loss: float) -> None:
    predicted = torch.tensor([[error, 0.0, 0.0, 0.0]])
    assert_close(box_loss(predicted, torch.zeros(1, 4), UNIT, YES, YES, BoxLoss(beta=beta)).mean, scalar(loss))


def test_box_loss_adds_the_four_deltas() -> None:
    # Errors 1, 2, 3, 4 at beta 1: 0.5 + 1.5 + 2.5 + 3.5 = 8.
    assert_close(
        box_loss(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.zeros(1, 4), UNIT, YES, YES, BETA_1).mean, scalar(8.0)
    )


def test_places_that_are_not_used_have_no_weight() -> None:
    used = torch.tensor([True, False])
    wild = torch.tensor([[0.0], [100.0]])
    assert_close(objectness_loss(wild, torch.tensor([False, False]), used).mean, scalar(math.log(2)))
    assert_close(
        class_loss(torch.tensor([[0.0, 0.0], [9.0, 0.0]]), torch.tensor([1, 1]), used).mean, scalar(math.log(2))
    )
    positive = torch.tensor([True, True])
    loss = box_loss(
        torch.tensor([[2.0] * 4, [9.0] * 4]), torch.zeros(2, 4), UNIT.repeat(2, 1), positive, used, BETA_1
    ).mean
    assert_close(loss, scalar(6.0))


def test_boxes_that_are_not_positive_have_no_weight_even_with_meaningless_targets() -> None:
    targets = torch.tensor([[float("inf"), float("nan"), 0.0, 0.0]])
    predicted = torch.ones(1, 4, requires_grad=True)
    loss = box_loss(predicted, targets, UNIT, NO, YES, BETA_1).mean
    loss.backward()
    assert_close(loss.detach(), scalar(0.0))
    assert_close(predicted.grad, torch.zeros(1, 4))


def test_losses_without_references_are_zero_and_still_have_a_gradient() -> None:
    none = torch.zeros(0, dtype=torch.bool)
    logits = torch.zeros(0, 3, requires_grad=True)
    deltas = torch.zeros(0, 4, requires_grad=True)
    losses = [
        objectness_loss(logits[:, :1], none, none).mean,
        objectness_loss(logits[:, :2], none, none).mean,
        class_loss(logits, none.long(), none).mean,
        box_loss(deltas, torch.zeros(0, 4), torch.zeros(0, 4), none, none, BETA_1).mean,
    ]
    assert [float(loss.detach()) for loss in losses] == [0.0] * 4
    sum(losses, torch.zeros(())).backward()
    assert logits.grad is not None
    assert deltas.grad is not None


def test_l1_is_the_sum_of_errors() -> None:
    wrong = torch.tensor([[0.5, -2.0, 0.0, 1.0]])
    assert_close(box_loss(wrong, torch.zeros(1, 4), UNIT, YES, YES, BoxLoss("l1")).mean, scalar(3.5))


def test_giou_compares_the_boxes_that_the_deltas_make() -> None:
    # Reference (0, 0, 10, 10), weights 10: dx = 10 shifts by one width to (10, 0, 20, 10), the truth stays. They touch:
    # IoU 0, union 200, hull 200: GIoU 0, loss 1. Shifted by two widths the hull is 300: GIoU 0 - 100 / 300, loss 4/3.
    rule = BoxLoss("giou", delta_weights=(10.0, 10.0, 5.0, 5.0))
    reference = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    for shift, loss in ((10.0, 1.0), (20.0, 4 / 3), (0.0, 0.0)):
        shifted = torch.tensor([[shift, 0.0, 0.0, 0.0]])
        assert_close(box_loss(shifted, torch.zeros(1, 4), reference, YES, YES, rule).mean, scalar(loss))
        assert_close(box_loss(torch.zeros(1, 4), shifted, reference, YES, YES, rule).mean, scalar(loss))


def test_ciou_adds_the_distance_of_the_centres() -> None:
    # Equal shapes, one width apart: IoU 0, centres 10 apart, hull 20 x 10 with a squared diagonal of 500.
    shifted, reference = torch.tensor([[1.0, 0.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    assert_close(box_loss(shifted, torch.zeros(1, 4), reference, YES, YES, BoxLoss("ciou")).mean, scalar(1.2))


@pytest.mark.parametrize("kind", ["smooth_l1", "l1", "giou", "ciou"])
def test_every_box_loss_ignores_references_that_are_not_positive(kind: BoxLossKind) -> None:
    predicted = torch.ones(2, 4, requires_grad=True)
    targets = torch.tensor([[0.0] * 4, [float("inf"), float("nan"), 0.0, 0.0]])
    references = torch.tensor([[0.0, 0.0, 4.0, 4.0], [5.0, 5.0, 5.0, 5.0]])
    positive, used = torch.tensor([True, False]), torch.tensor([True, True])
    box_loss(predicted, targets, references, positive, used, BoxLoss(kind)).mean.backward()
    assert predicted.grad is not None
    assert predicted.grad.isfinite().all()
    assert predicted.grad[0].abs().sum() > 0
    assert_close(predicted.grad[1], torch.zeros(4))


@pytest.mark.parametrize("kind", ["giou", "ciou"])
@pytest.mark.parametrize("deltas", [[0.0, 0.0, -100.0, 0.0], [0.0, 0.0, 0.0, -100.0], [0.0, 0.0, -100.0, -100.0]])
def test_a_predicted_box_without_width_or_height_has_a_loss_and_a_gradient(
    kind: BoxLossKind, deltas: list[float]
) -> None:
    predicted = torch.tensor([deltas], requires_grad=True)
    reference = torch.tensor([[500.0, 500.0, 532.0, 532.0]])
    loss = box_loss(predicted, torch.tensor([[0.1, 0.2, 0.3, 0.4]]), reference, YES, YES, BoxLoss(kind)).mean
    loss.backward()
    assert bool(loss.isfinite())
    assert predicted.grad is not None
    assert bool(predicted.grad.isfinite().all())


def test_ciou_adds_the_difference_of_the_aspect_ratios() -> None:
    # (0, 0, 10, 10) becomes (0, -5, 10, 15), twice as high: IoU 1/2, equal centres. v = 4 / pi^2 (atan 1 - atan 1/2)^2
    # and alpha = v / (1 - IoU + v).
    higher, reference = torch.tensor([[0.0, 0.0, 0.0, math.log(2)]]), torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    v = 4 / math.pi**2 * (math.atan(1) - math.atan(1 / 2)) ** 2
    loss = box_loss(higher, torch.zeros(1, 4), reference, YES, YES, BoxLoss("ciou")).mean
    assert_close(loss, scalar(0.5 + v * v / (0.5 + v)))


def test_losses_of_boxes_are_float32_under_half_precision() -> None:
    wrong = torch.tensor([[0.5, 0.25, 0.0, 0.0]], dtype=torch.bfloat16)
    reference = torch.tensor([[500.0, 500.0, 513.0, 511.0]])
    for kind in ("smooth_l1", "l1", "giou", "ciou"):
        loss = box_loss(wrong, torch.zeros(1, 4), reference, YES, YES, BoxLoss(kind)).mean
        assert loss.dtype == torch.float32
        assert_close(loss, box_loss(wrong.float(), torch.zeros(1, 4), reference, YES, YES, BoxLoss(kind)).mean)


def test_the_papers_normaliser_and_lambda() -> None:
    # Eq. 1: lambda / N_reg x the sum, here 10 / 40 x 2, whatever the number of sampled anchors.
    wrong = torch.tensor([[2.0, 0.0, 0.0, 0.0], [0.0] * 4])
    positive, used = torch.tensor([True, False]), torch.tensor([True, True])
    rule = BoxLoss("l1", weight=10.0)
    loss = box_loss(wrong, torch.zeros(2, 4), UNIT.repeat(2, 1), positive, used, rule, positions=40).mean
    assert_close(loss, scalar(0.5))
