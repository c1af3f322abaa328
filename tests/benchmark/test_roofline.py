"""Operations are counted by layer, and the roofline is their number at the best rate."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faster_rcnn.acceleration.folding import prepare_for_inference
from faster_rcnn.benchmark.roofline import NUM_CONVOLUTIONS, Convolution, Roofline, Work, measure_roofline, work_of
from faster_rcnn.building import build_model
from faster_rcnn.kernels.depthwise import DepthwiseConv2d
from faster_rcnn.settings.presets import preset
from tiny import tiny_model

CPU = torch.device("cpu")


def layer(kernel: int, operations: int, channels: int = 4) -> Convolution:
    side = kernel // 2
    return Convolution((1, 4, 8, 8), (channels, 4, kernel, kernel), (1, 1), (side, side), (1, 1), 1, operations)


def test_operations_by_hand() -> None:
    model = tiny_model().eval()
    features = model.backbone(torch.zeros(1, 3, 64, 96))
    work = work_of(model, torch.zeros(1, 3, 64, 96), torch.float32)
    # The head slides over every level: 3x3 of 16 to 16 channels, then 1x1 to 3 logits and to 3 x 4 deltas.
    head = work.convolutions[-3 * len(features) :]
    positions = [feature.shape[2] * feature.shape[3] for feature in features]
    of_level = [2 * 16 * (9 * 16 + 3 + 12) * count for count in positions]
    assert sum(each.operations for each in head) == sum(of_level)
    assert head[0].weight == (16, 16, 3, 3)
    assert work.operations == sum(each.operations for each in work.convolutions)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_every_convolution_of_the_default_is_counted(precision: torch.dtype) -> None:
    model = prepare_for_inference(build_model(preset("small"), 2).eval(), precision, exact=True)
    layers = [each for part in (model.backbone, model.rpn) for each in part.modules()]
    convs = [each for each in layers if isinstance(each, nn.Conv2d | DepthwiseConv2d)]
    work = work_of(model, torch.zeros(1, 3, 64, 64), precision)
    # Those of the head are computed once for each of four levels; the finest one has no anchors.
    assert len(work.convolutions) == len(convs) + 3 * 3
    assert work.operations == sum(each.operations for each in work.convolutions)


def test_the_largest_are_measured_once_each() -> None:
    same = layer(3, 1000)
    many = [layer(1, number, channels=number) for number in range(1, 15)]
    roofline = measure_roofline(Work(5000, (*many, same, same)), torch.float32, CPU)
    assert [each.operations for each, _ in roofline.rates] == [1000, *range(14, 14 - NUM_CONVOLUTIONS + 1, -1)]
    assert min(rate for _, rate in roofline.rates) > 0


def test_the_roofline_is_all_operations_at_the_best_rate() -> None:
    roofline = Roofline(6_000_000, ((layer(3, 100), 2e6), (layer(1, 50), 3e6)))
    assert roofline.rate == 3e6
    assert roofline.seconds == 2.0
