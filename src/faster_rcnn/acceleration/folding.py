"""A detector prepared for inference: batch norm folded into convolutions, weights in the precision of the computation.

In inference a batch norm is one multiplication and one addition per channel. Folded into the weights of the convolution
before it, it costs nothing, while a batch norm of its own would read and write every feature map once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from itertools import pairwise

import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from faster_rcnn.building import with_settings
from faster_rcnn.kernels.depthwise import DepthwiseConv2d
from faster_rcnn.model import FasterRCNN

Conv = nn.Conv2d | DepthwiseConv2d

MAX_DIFFERENCE = 1e-3
"""Largest difference of features in float32, in shares of the largest feature; rounding alone makes 1e-5."""


def prepare_for_inference(model: FasterRCNN, precision: torch.dtype, exact: bool) -> FasterRCNN:
    """A copy of a detector for inference only, in ``precision``; the detector itself is not changed.

    Batch norm is folded if that keeps the features, and the copy uses channels-last memory format. With ``exact``
    float32 the detector itself is returned, so that results keep their last bits.
    """
    if exact and precision == torch.float32:
        return model
    copy = _for_inference(model)
    fold_norms(copy)
    if not features_match(model, copy):
        copy = _for_inference(model)
    channels_last = with_settings(copy, memory_format=torch.channels_last)
    return channels_last.to(precision).to(memory_format=torch.channels_last)


def _for_inference(model: FasterRCNN) -> FasterRCNN:
    return deepcopy(model).eval().requires_grad_(False)


def fold_norms(module: nn.Module) -> int:
    """Fold every batch norm that directly follows a convolution in the order of the modules; returns their number.

    The activation that timm keeps in its batch norms stays. The result is right only if modules run in the order in
    which they are listed, as they do in all bodies examined; ``prepare_for_inference`` compares the features.
    """
    found = [(parent, *names) for parent in module.modules() for names in _pairs(parent)]
    for parent, conv_name, norm_name in found:
        conv, norm = parent.get_submodule(conv_name), parent.get_submodule(norm_name)
        assert isinstance(conv, Conv)
        assert isinstance(norm, nn.BatchNorm2d)
        parent.set_submodule(conv_name, _folded(conv, norm))
        parent.set_submodule(norm_name, _activation_of(norm))
    return len(found)


def _pairs(parent: nn.Module) -> Iterator[tuple[str, str]]:
    """Names of each convolution (alone, or the last layer of a sequence) and of the batch norm right after it."""
    for (name, child), (norm_name, norm) in pairwise(parent.named_children()):
        while isinstance(child, nn.Sequential) and len(child):
            last, child = list(child.named_children())[-1]
            name = f"{name}.{last}"
        if isinstance(child, Conv) and isinstance(norm, nn.BatchNorm2d) and len(child.weight) == norm.num_features:
            yield name, norm_name


def _folded(conv: Conv, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """One convolution with a bias that computes the convolution and the batch norm."""
    plain = conv if isinstance(conv, nn.Conv2d) else _plain_depthwise(conv)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        plain.weight, plain.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    plain.weight, plain.bias = _constant(weight), _constant(bias)
    return plain


def _plain_depthwise(conv: DepthwiseConv2d) -> nn.Conv2d:
    """The plain convolution that ``DepthwiseConv2d`` replaced for the sake of its backward pass."""
    channels, kernel, stride = len(conv.weight), _pair(conv.kernel), _pair(conv.stride)
    if conv.pads_same:
        plain: nn.Conv2d = Conv2dSame(channels, channels, kernel, stride, groups=channels, bias=False)
    else:
        plain = nn.Conv2d(channels, channels, kernel, stride, conv.padding, groups=channels, bias=False)
    plain.weight = conv.weight
    return plain


def _pair(sides: tuple[int, ...]) -> tuple[int, int]:
    return sides[0], sides[1]


def _constant(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.detach(), requires_grad=False)


def _activation_of(norm: nn.BatchNorm2d) -> nn.Module:
    """The activation inside timm's batch norm; torch's batch norm has none."""
    activation = getattr(norm, "act", None)
    return activation if isinstance(activation, nn.Module) else nn.Identity()


@torch.no_grad()
def features_match(model: FasterRCNN, folded: FasterRCNN) -> bool:
    """Whether both models give the same features for a random image, within ``MAX_DIFFERENCE``."""
    device = next(model.parameters()).device
    side = 2 * model.backbone.stride
    pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    pairs = zip(model.backbone(pixels), folded.backbone(pixels), strict=True)
    return all(float((one - other).abs().max()) <= MAX_DIFFERENCE * float(one.abs().max()) for one, other in pairs)
