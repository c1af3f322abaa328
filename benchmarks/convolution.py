"""Time of 3x3 convolutions on AVX2 in float32, forward and backward: our gradient of the weights against oneDNN's.

On processors with AVX-512 both sides use oneDNN's gradient.
"""

from __future__ import annotations

import copy
from functools import partial

import torch
from timing import compare, machine
from torch import Tensor, nn

from faster_rcnn.kernels.conv3x3 import replace_conv3x3

LAYERS = (
    ("pyramid of small", 4, 128, 104, 144),
    ("pyramid of small", 4, 128, 52, 72),
    ("pyramid of small", 4, 128, 26, 36),
    ("pyramid of base", 1, 256, 200, 268),
    ("ResNet-50, second stage", 1, 64, 200, 268),
    ("ResNet-50, fourth stage", 1, 256, 50, 67),
    ("VGG-16, second stage", 1, 128, 300, 400),
)
"""Place in a detector, number of images, channels, rows and columns."""


def step(layer: nn.Module, features: Tensor) -> None:
    result = layer(features)
    result.backward(result.detach())


def main() -> None:
    print(machine())
    for where, images, channels, rows, columns in LAYERS:
        plain = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1)).to(memory_format=torch.channels_last)
        fast = copy.deepcopy(plain)
        replace_conv3x3(fast)
        features = torch.randn(images, channels, rows, columns).to(memory_format=torch.channels_last).requires_grad_()

        label = f"{where}: {images} x {channels} x {rows} x {columns}"
        compare(label, partial(step, fast, features), partial(step, plain, features), rounds=5)


if __name__ == "__main__":
    main()
