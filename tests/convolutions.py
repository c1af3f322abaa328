"""Convolutions of every kind that can be fused, and features for them."""

from __future__ import annotations

import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn

CONVOLUTIONS = {
    "3x3": nn.Conv2d(4, 6, 3, padding=1),
    "1x1 without bias": nn.Conv2d(4, 6, 1, bias=False),
    "stride 2": nn.Conv2d(4, 6, 3, stride=2, padding=1),
    "dilated": nn.Conv2d(4, 6, 3, padding=2, dilation=2),
    "in groups": nn.Conv2d(4, 8, 3, padding=1, groups=2),
    "depthwise": nn.Conv2d(8, 8, 5, padding=2, groups=8),
    "1x7": nn.Conv2d(4, 6, (1, 7), padding=(0, 3)),
    "SAME 3x3": Conv2dSame(8, 8, 3, stride=2, groups=8),
    "SAME 5x5": Conv2dSame(4, 6, 5, stride=2),
    "SAME of stride 1": Conv2dSame(4, 6, 4),
}


def started(conv: nn.Conv2d) -> nn.Conv2d:
    generator = torch.Generator().manual_seed(0)
    for each in conv.parameters():
        nn.init.uniform_(each, -0.5, 0.5, generator=generator)
    return conv.requires_grad_(False)


def features(conv: nn.Conv2d, rows: int = 10, columns: int = 12, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, conv.in_channels, rows, columns, generator=generator)
