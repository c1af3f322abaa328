"""Stages of timm's bodies: their last one as a head of regions (C4), and the variants that Detectron2 trains."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

import timm
from timm.models import FeatureInfo
from timm.models._features import FeatureListNet
from torch import nn

from faster_rcnn.backbone.norm import freeze_norms
from faster_rcnn.errors import OptionError
from faster_rcnn.kernels.depthwise import replace_slow_depthwise


def timm_features(name: str, levels: Sequence[int], *, pretrained: bool = False) -> nn.Module:
    """A timm model that gives its feature maps; raises ``OptionError`` where it has none.

    ``pretrained``: with ImageNet weights, which may be fetched; else with random ones. Names that lead timm to a hub or
    to a folder (``hf-hub:``, ``local-dir:``) are refused: a file of settings may name an architecture and nothing else.
    """
    if not timm.is_model(name):
        close = get_close_matches(name, timm.list_models(), n=1)
        hint = f"did you mean '{close[0]}'?" if close else "see timm.list_models()"
        raise OptionError(f"backbone.body '{name:.80}' is no architecture of timm; {hint}")
    indices = tuple(levels)
    try:
        layers: nn.Module = timm.create_model(name, features_only=True, out_indices=indices, pretrained=pretrained)
    except (RuntimeError, ValueError, AttributeError, AssertionError, IndexError) as error:
        raise OptionError(
            f"backbone.body '{name}' with levels {tuple(levels)} is not a timm model with feature maps: {error}; "
            "see timm.list_models()"
        ) from error
    return layers


class LastStage(nn.Sequential):
    """The stage of a body that follows a level, to be run on regions instead of images (ResNet's conv5 in C4).

    He et al., arXiv 1512.03385, appendix A: what comes after the shared features is the second stage's network.
    """

    def __init__(
        self, name: str, level: int, *, frozen_norm: bool, stride_in_1x1: bool, pretrained: bool = False
    ) -> None:
        layers = timm_features(name, (level, level + 1), pretrained=pretrained)
        if stride_in_1x1:
            stride_in_first_conv(name, layers)
        replace_slow_depthwise(layers)
        info: FeatureInfo = layers.feature_info  # type: ignore[assignment]  # timm is not typed
        super().__init__(OrderedDict(_modules_between(name, layers, *info.module_name())))
        self.outputs = int(info.channels()[1])
        self._frozen_norm = frozen_norm
        self.train(self.training)

    def train(self, mode: bool = True) -> LastStage:
        """Switch the mode, except for frozen batch norm."""
        super().train(mode)
        if self._frozen_norm:
            freeze_norms(self)
        return self


def _modules_between(name: str, layers: nn.Module, after: str, last: str) -> Iterator[tuple[str, nn.Module]]:
    """The modules behind the one called ``after``, up to the one called ``last``, where they run one by one."""
    parent, _, _ = after.rpartition(".")
    container = layers if isinstance(layers, FeatureListNet) else dict(layers.named_modules()).get(parent)
    children = {} if container is None else dict(container.named_children())
    # A feature list has flattened the dots of its names away.
    keys = [each if each in children else each.replace(".", "_") for each in (after, last)]
    if not isinstance(layers, FeatureListNet):
        keys = [each.rpartition(".")[2] for each in (after, last)]
    names = list(children)
    if not all(key in names for key in keys) or not (parent or isinstance(layers, FeatureListNet)):
        raise OptionError(
            f"roi.head=last_stage: the stages of backbone.body '{name}' cannot be taken apart; a ResNet's, a VGG's or "
            "an EfficientNet's can, and --set roi.head=layers needs no stage"
        )
    for key in names[names.index(keys[0]) + 1 : names.index(keys[1]) + 1]:
        yield (f"stage_{key}" if key.isdigit() else key), children[key]


def stride_in_first_conv(name: str, layers: nn.Module) -> None:
    """Let bottlenecks halve the resolution in their first 1x1 convolution, as the ResNets of Caffe did."""
    bottlenecks = [block for block in layers.modules() if isinstance(getattr(block, "conv3", None), nn.Conv2d)]
    convs = [(block.get_submodule("conv1"), block.get_submodule("conv2")) for block in bottlenecks]
    halving = [
        (first, second)
        for first, second in convs
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d) and second.stride == (2, 2)
    ]
    if not halving:
        raise OptionError(f"backbone.stride_in_1x1: backbone.body '{name}' has no bottlenecks of ResNet")
    for first, second in halving:
        first.stride, second.stride = (2, 2), (1, 1)


def dilate(name: str, stage: nn.Module) -> None:
    """Keep the resolution in a stage that halves it, its 3x3 kernels dilated by 2 so that they see as far (DC5)."""
    convs = [layer for layer in stage.modules() if isinstance(layer, nn.Conv2d)]
    pools = [layer for layer in stage.modules() if isinstance(layer, nn.AvgPool2d | nn.MaxPool2d)]
    if pools or not any(conv.stride == (2, 2) for conv in convs):
        raise OptionError(f"backbone.dilated_last_stage: backbone.body '{name}' is not a plain ResNet")
    for conv in convs:
        conv.stride = (1, 1)
        if conv.kernel_size == (3, 3):
            conv.dilation, conv.padding = (2, 2), (2, 2)
