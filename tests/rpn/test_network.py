"""Which channel belongs to which anchor, Eq. 1 by hand, and which anchors have a gradient."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from faster_rcnn.ops.losses import BoxLoss
from faster_rcnn.rpn.anchors import AnchorGenerator
from faster_rcnn.rpn.head import RpnHead, rows_at
from faster_rcnn.rpn.network import RegionProposalNetwork
from faster_rcnn.rpn.proposals import ProposalFilter
from faster_rcnn.rpn.targets import AnchorSampling
from faster_rcnn.structures import Anchors, ImageBatch, ImageSize, RpnOutput
from tiny import boxes_of, truth_of

SAMPLING = AnchorSampling(positive_iou=0.7, negative_iou=0.3, samples=256, positive_fraction=0.5)


class WholeHead(RpnHead):
    """The plain way: it computes every anchor of the map, and takes the rows of the sampled ones."""

    def forward_at(self, features: list[Tensor], indices: Tensor, known: RpnOutput | None = None) -> RpnOutput:
        return rows_at(self(features), indices)


class GivenHead(WholeHead):
    """Gives one output, whatever the features are."""

    def __init__(self, output: RpnOutput) -> None:
        torch.nn.Module.__init__(self)
        self.output = output

    def forward(self, features: list[Tensor]) -> RpnOutput:
        return self.output


def network(
    channels: int = 4, *, head: RpnHead | None = None, sampling: AnchorSampling = SAMPLING, **numbers: Any
) -> RegionProposalNetwork:
    """Two levels, strides 8 and 16, three anchors each, unless other numbers are given."""

    def taken(**defaults: Any) -> dict[str, Any]:
        return {name: numbers.pop(name, default) for name, default in defaults.items()}

    anchors = AnchorGenerator(
        **taken(
            sizes=((16,), (32,)), heights_over_widths=((0.5, 1.0, 2.0),) * 2, strides=(8, 16), rounding=True,
            offset=0.0, fitted=False,
        )
    )  # fmt: skip
    if head is None:
        per_position = anchors.per_position
        head = RpnHead(
            channels, anchors_per_position=per_position, **taken(hidden=channels, convs=1, outputs_per_anchor=1)
        )
    loss = numbers.pop("loss", BoxLoss(beta=1.0))
    return RegionProposalNetwork(head, anchors, sampling, loss, **numbers)


def batch_of(count: int, height: int, width: int) -> ImageBatch:
    return ImageBatch(torch.zeros(count, 3, height, width), (ImageSize(height, width),) * count)


def test_anchors_lie_where_their_offset_says() -> None:
    features = [torch.zeros(1, 4, 5, 5), torch.zeros(1, 4, 3, 3)]
    corner, middle = (network(offset=offset).anchors(features, batch_of(1, 40, 40)).boxes for offset in (0.0, 0.5))
    # Half a stride to the right and down: 4 pixels on the finer level, 8 on the coarser one.
    assert_close(middle - corner, torch.tensor([4.0] * 75 + [8.0] * 27)[:, None].expand(-1, 4))


def test_each_level_may_have_ratios_of_its_own() -> None:
    rpn = network(heights_over_widths=((1.0,), (4.0,)), rounding=False)
    anchors = rpn.anchors([torch.zeros(1, 4, 1, 1), torch.zeros(1, 4, 1, 1)], batch_of(1, 8, 8))
    # 16 x 16, and of area 32^2 four times as high as wide: 16 x 64.
    assert_close(anchors.boxes, boxes_of([[-8, -8, 8, 8], [-8, -32, 8, 32]]))


def test_rows_of_the_output_are_rows_of_the_anchors() -> None:
    rpn = network(convs=0)
    features = [torch.zeros(1, 4, 2, 3), torch.zeros(1, 4, 1, 2)]
    for feature, stride in zip(features, (8, 16), strict=True):
        rows, columns = feature.shape[-2:]
        feature[0, 0] = (torch.arange(columns) * stride)[None, :].expand(rows, columns)  # x of each position
        feature[0, 1] = (torch.arange(rows) * stride)[:, None].expand(rows, columns)  # and y
    with torch.no_grad():
        rpn.head.deltas.weight.zero_()
        rpn.head.deltas.weight[0::4, 0] = 1  # every shape's dx is x
        rpn.head.deltas.weight[1::4, 1] = 1  # and dy is y
        output = rpn(features)
    anchors = rpn.anchors(features, batch_of(1, 16, 32)).boxes
    assert_close(output.deltas[0, :, :2], (anchors[:, :2] + anchors[:, 2:]) / 2)


def test_anchors_take_the_strides_of_the_backbone_or_those_that_fit() -> None:
    features = [torch.zeros(1, 4, 5, 5), torch.zeros(1, 4, 3, 3)]  # 40 pixels; 40 / 16 rounded up is 3
    exact = network().anchors(features, batch_of(1, 40, 40)).boxes
    fitted = network(fitted=True).anchors(features, batch_of(1, 40, 40)).boxes
    # The square anchor of the last cell of the coarser level: at 2 * 16 = 32, or at 2 * (40 // 3) = 26.
    assert_close(exact[-2], torch.tensor([16.0, 16.0, 48.0, 48.0]))
    assert_close(fitted[-2], torch.tensor([10.0, 10.0, 42.0, 42.0]))
    assert_close(exact[:75], fitted[:75])


# Eq. 1 by hand: four anchors; the first has overlap 0.9 with the truth, the second 0.5 (neutral), two are far away.
ANCHORS = Anchors(boxes_of([[0, 0, 10, 9], [0, 0, 10, 5], [50, 50, 60, 60], [80, 0, 120, 40]]), (3, 1))
TRUTH = truth_of([[0, 0, 10, 10]])
SIZE = ImageSize(100, 130)


def test_equation_1_by_hand() -> None:
    logits = torch.tensor([[[math.log(3)], [7.0], [0.0], [0.0]]])
    deltas = torch.zeros(1, 4, 4)
    losses = network(loss=BoxLoss(beta=1.0, weight=10.0), head=GivenHead(RpnOutput(logits, deltas))).losses(
        [], ANCHORS, [SIZE], [TRUTH], [0]
    )
    # Three sampled: the object costs log(4/3), the two others log 2 each.
    assert_close(losses.objectness.mean, torch.tensor((math.log(4 / 3) + 2 * math.log(2)) / 3))
    # Wanted dy = 0.5 / 9 and dh = log(10 / 9), both below beta 1: squares / 2; lambda 10; over 3 sampled anchors.
    box = ((0.5 / 9) ** 2 + math.log(10 / 9) ** 2) / 2
    assert_close(losses.box.mean, torch.tensor(10 * box / 3))


@pytest.mark.parametrize("images", [1, 2])
def test_equation_1_with_the_numbers_of_the_paper(images: int) -> None:
    # Section 3.1.2: a 60 x 40 map of stride 16, so N_reg = 2400 positions; N_cls = 256 sampled; lambda = 10.
    rpn = network(
        outputs_per_anchor=2,
        sizes=((128, 256, 512),),
        heights_over_widths=((0.5, 1.0, 2.0),),
        rounding=False,
        offset=0.5,
        strides=(16,),
        loss=BoxLoss(beta=1 / 9, weight=10.0),
        loss_per_position=True,
    )
    anchors = rpn.anchors([torch.zeros(images, 4, 40, 60)], batch_of(images, 640, 960))
    # The truth is the 128-pixel square of row 20, column 30: centre (488, 328). Besides that anchor its neighbours one
    # stride away are positive: IoU 112 x 128 / (2 x 128 x 128 - 112 x 128) = 0.78. Diagonally it is 0.62, and of the
    # 128-pixel anchors of ratio 1:2 and 2:1 it is 128 x 90.5 / (2 x 128 x 128 - 128 x 90.5) = 0.55.
    truth = truth_of([[424, 264, 552, 392]])
    output = RpnOutput(torch.tensor([0.0, math.log(3)]).expand(images, 21600, 2), torch.zeros(images, 21600, 4))
    sizes, seeds = [ImageSize(640, 960)] * images, list(range(images))
    rpn.head = GivenHead(output)
    losses = rpn.losses([], anchors, sizes, [truth] * images, seeds)
    # Everything is an object by 3/4: five positives cost log(4/3) each, 251 negatives log 4.
    assert_close(losses.objectness.mean, torch.tensor((5 * math.log(4 / 3) + 251 * math.log(4)) / 256))
    # Four neighbours want a shift of 16 / 128 = 1/8, beyond beta 1/9: 1/8 - 1/18 each. Images are averaged.
    assert_close(losses.box.mean, torch.tensor(10 / 2400 * 4 * (1 / 8 - 1 / 18)))


def test_anchors_that_cross_the_border_cost_nothing_where_they_are_left_out() -> None:
    # Of the four anchors the last leaves an image 110 wide: the two others that are sampled stay.
    rule = replace(SAMPLING, ignore_crossing=True)
    logits = torch.tensor([[[math.log(3)], [7.0], [0.0], [50.0]]])
    losses = network(sampling=rule, head=GivenHead(RpnOutput(logits, torch.zeros(1, 4, 4)))).losses(
        [], ANCHORS, [ImageSize(100, 110)], [TRUTH], [0]
    )
    assert_close(losses.objectness.mean, torch.tensor((math.log(4 / 3) + math.log(2)) / 2))


def test_positions_are_counted_once_whatever_the_anchors_of_a_position() -> None:
    # Three anchors each: the finer level has two positions, the coarser one has one.
    anchors = Anchors(boxes_of([[0, 0, 10, 9], *[[50, 50, 60, 60]] * 8]), (6, 3))
    deltas = torch.zeros(1, 9, 4)
    losses = network(loss_per_position=True, head=GivenHead(RpnOutput(torch.zeros(1, 9, 1), deltas))).losses(
        [], anchors, [SIZE], [TRUTH], [0]
    )
    box = ((0.5 / 9) ** 2 + math.log(10 / 9) ** 2) / 2
    assert_close(losses.box.mean, torch.tensor(box / 3))


def test_the_losses_of_a_batch_weigh_every_sampled_anchor_equally() -> None:
    # The first image has 3 sampled anchors, the second, without truths, 4: seven terms of log 2, over 7.
    output = RpnOutput(torch.zeros(2, 4, 1), torch.zeros(2, 4, 4))
    losses = network(head=GivenHead(output)).losses([], ANCHORS, [SIZE] * 2, [TRUTH, truth_of([])], [0, 1])
    assert_close(losses.objectness.mean, torch.tensor(math.log(2)))
    box = ((0.5 / 9) ** 2 + math.log(10 / 9) ** 2) / 2
    assert_close(losses.box.mean, torch.tensor(box / 7))


@pytest.mark.parametrize("outputs", [1, 2])
def test_gradient_reaches_sampled_anchors_only(outputs: int) -> None:
    # The last anchor lies in an ignored region, the second is neutral: their gradient is 0 exactly.
    truth = truth_of([[0, 0, 10, 10], [70, 0, 130, 50]], ignored=[False, True])
    logits = torch.zeros(1, 4, outputs, requires_grad=True)
    deltas = torch.zeros(1, 4, 4, requires_grad=True)
    output = RpnOutput(logits, deltas)
    losses = network(head=GivenHead(output)).losses([], ANCHORS, [SIZE], [truth], [0])
    (losses.objectness.mean + losses.box.mean).backward()
    assert logits.grad is not None
    assert deltas.grad is not None
    assert logits.grad[0].abs().sum(dim=1).ne(0).tolist() == [True, False, True, False]
    assert deltas.grad[0].abs().sum(dim=1).ne(0).tolist() == [True, False, False, False]


@pytest.mark.parametrize("convs", [1, 2])
@pytest.mark.parametrize("half", [False, True])
def test_losses_at_samples_are_those_of_the_whole_map(convs: int, half: bool) -> None:
    rpn = network(8, convs=convs, sampling=replace(SAMPLING, samples=40))
    for parameter in rpn.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    # One level is a single column wide; the sample takes half of the anchors.
    features = [torch.randn(2, 8, 4, 5, requires_grad=True), torch.randn(2, 8, 2, 1, requires_grad=True)]
    batch = batch_of(2, 32, 40)
    anchors = rpn.anchors(features, batch)
    given = anchors, batch.sizes, [truth_of([[5, 3, 22, 18]]), truth_of([])], [3, 4]
    results = []
    for at_samples in (False, True):
        rpn.zero_grad()
        for feature in features:
            feature.grad = None
        rpn.head.__class__ = RpnHead if at_samples else WholeHead
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            if at_samples:
                with torch.no_grad():  # as in training, where the proposals are made without gradient
                    rpn(features)
            losses = rpn.losses(features, *given)
        (losses.objectness.mean + losses.box.mean).backward()
        gradients = [each.grad for each in (*rpn.parameters(), *features)]
        results.append([losses.objectness.mean.detach(), losses.box.mean.detach(), *gradients])
    for mine, plain in zip(results[1], results[0], strict=True):
        assert mine is not None
        assert plain is not None
        assert_close(mine, plain, rtol=0, atol=(0.05 if half else 1e-5) * float(plain.abs().max()))


def test_the_names_of_tensors_are_those_of_model_files() -> None:
    rpn = network(convs=2)
    names = ["convs.0", "convs.1", "objectness", "deltas"]
    assert list(rpn.state_dict()) == [f"{name}.{kind}" for name in names for kind in ("weight", "bias")]
    both = torch.nn.ModuleDict({"rpn": rpn})
    assert list(both.state_dict()) == [f"rpn.{name}" for name in rpn.state_dict()]
    other = torch.nn.ModuleDict({"rpn": network(convs=2)})
    assert other.load_state_dict(both.state_dict()) == other.load_state_dict(both.state_dict(), strict=False)
    assert all(torch.equal(each, rpn.state_dict()[name]) for name, each in other["rpn"].state_dict().items())
    assert other["rpn"].load_state_dict(rpn.state_dict()).missing_keys == []
    found = other.load_state_dict({"rpn.objectness.bias": torch.zeros(3), "rpn.other": torch.ones(1)}, strict=False)
    assert found.unexpected_keys == ["rpn.head.other"]


def test_proposals_are_cut_off_from_the_gradient() -> None:
    rpn = network()
    features = [torch.rand(2, 4, 4, 4), torch.rand(2, 4, 2, 2)]
    batch = batch_of(2, 32, 32)
    rule = ProposalFilter(before_nms=20, after_nms=10, nms_iou=0.7, min_side=1.0, score_floor=0.0)
    proposals = rpn.propose(features, rpn.anchors(features, batch), batch.sizes, rule)
    assert [len(each.boxes) for each in proposals] == [10, 10]
    assert not any(each.boxes.requires_grad or each.scores.requires_grad for each in proposals)
