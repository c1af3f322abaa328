"""Time of depthwise convolutions of EfficientNet-Lite0 at 416 x 576, batch 4, in bfloat16, forward and backward."""

from __future__ import annotations

import copy
from functools import partial

import torch
from timing import compare
from torch import nn

from faster_rcnn.kernels.depthwise import DepthwiseConv2d

LAYERS = ((144, 104, 144, 5, 2), (240, 52, 72, 5, 1), (240, 52, 72, 3, 2), (672, 26, 36, 5, 1), (1152, 13, 18, 5, 1))
"""Channels, rows, columns, kernel size and stride."""


def step(layer: nn.Module, features: torch.Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        result = layer(features)
    result.sum().backward()


def main() -> None:
    for channels, rows, columns, kernel, stride in LAYERS:
        conv = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)
        plain, fast = conv.to(memory_format=torch.channels_last), DepthwiseConv2d(copy.deepcopy(conv))
        features = torch.randn(4, channels, rows, columns).to(memory_format=torch.channels_last).requires_grad_()

        label = f"{channels} channels, {rows} x {columns}, {kernel} x {kernel}, stride {stride}"
        compare(label, partial(step, fast, features), partial(step, plain, features), rounds=7)


if __name__ == "__main__":
    main()
