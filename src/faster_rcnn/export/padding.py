"""Convolutions whose padding depends on the size of their input get a fixed padding, where all sizes ask for the same.

TensorFlow's ``same`` padding of a convolution of stride 2 depends on whether a side is even. The sides of a batch are
multiples of the body's stride, so that every convolution of stride 2 has even sides.
"""

from __future__ import annotations

from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from faster_rcnn.model import FasterRCNN


def pad_alike(model: FasterRCNN) -> int:
    """Replace timm's ``Conv2dSame`` where sides are multiples of the body's stride; returns their number."""
    if model.preparation.multiple % model.backbone.stride:
        return 0
    found = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, Conv2dSame)
    ]
    for parent, name, conv in found:
        setattr(parent, name, nn.Sequential(nn.ZeroPad2d(_margins(conv)), _plain(conv)))
    return len(found)


def _margins(conv: Conv2dSame) -> tuple[int, int, int, int]:
    """Zeros at the left, right, top and bottom of features with sides that are multiples of the stride."""
    height, width = (
        dilation * (kernel - 1) + 1 - stride
        for kernel, stride, dilation in zip(conv.kernel_size, conv.stride, conv.dilation, strict=True)
    )
    height, width = max(height, 0), max(width, 0)
    return width // 2, width - width // 2, height // 2, height - height // 2


def _plain(conv: Conv2dSame) -> nn.Conv2d:
    plain: nn.Conv2d = nn.utils.skip_init(
        nn.Conv2d,
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        conv.stride,
        dilation=conv.dilation,
        groups=conv.groups,
        bias=conv.bias is not None,
    )
    plain.weight, plain.bias = conv.weight, conv.bias
    return plain
