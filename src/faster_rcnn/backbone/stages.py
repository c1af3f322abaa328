"""Stages of timm's bodies: the last one as a head for regions (C4), and the variants that Detectron2 trains."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from difflib import get_close_matches

import timm
from timm.models import FeatureInfo
from timm.models._features import FeatureListNet
from torch import nn

from faster_rcnn.backbone.norm import freeze_norms
from faster_rcnn.errors import OptionError
from faster_rcnn.kernels.depthwise import replace_slow_depthwise


def timm_features(name: str, levels: Sequence[int], *, pretrained: bool = False) -> nn.Module:
    """Build a timm model that returns its feature maps; raises ``OptionError`` for a model without any.

    ``pretrained`` loads ImageNet weights, which may be downloaded; otherwise weights are random. Names that lead timm
    to a hub or to a folder (``hf-hub:``, ``local-dir:``) are refused: a file of settings may name an architecture and
    nothing else.
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
    """The stage of a body that follows a level, run on regions instead of images (ResNet's conv5 in C4).

    He et al., arXiv 1512.03385, appendix A: the layers after the shared features are the second stage's network.
    """

    def __init__(
        self, name: str, level: int, *, frozen_norm: bool, stride_in_1x1: bool, pretrained: bool = False
    ) -> None:
        layers = timm_features(name, (level, level + 1), pretrained=pretrained)
        if stride_in_1x1:
            stride_in_first_conv(name, layers)
        replace_slow_depthwise(layers)
        info: FeatureInfo = layers.feature_info  # type: ignore[assignment]  # timm is not typed
        super().__init__(_stage_after(name, layers, *info.module_name()))
        self.outputs = int(info.channels()[1])
        self._frozen_norm = frozen_norm
        self.train(self.training)

    def train(self, mode: bool = True) -> LastStage:
        """Switch the mode, except for frozen batch norm."""
        super().train(mode)
        if self._frozen_norm:
            freeze_norms(self)
        return self


def modules_through(layers: nn.Module, end: str) -> dict[str, nn.Module] | None:
    """Modules below ``layers`` through ``end`` and all inside it, by name; ``None`` if there is no ``end``.

    Modules are in the order of the forward pass. ``end`` is a name that timm gives a stage's last module; the
    dots of such a name are underscores in a list of features, which has flattened its containers::

        conv1  bn1  act1  maxpool  layer1  layer1.0  ...  layer2  ...        modules_through(..., "layer1") ends
                                   `------------------'                      before layer2
    """
    modules = {name: module for name, module in layers.named_modules() if name}
    last = next((each for each in (end, end.replace(".", "_")) if each in modules), None)
    if last is None:
        return None
    names = list(modules)
    inside = [each for each in names if each.startswith(f"{last}.")]
    return {each: modules[each] for each in [*names[: names.index(last) + 1], *inside]}


def _stage_after(name: str, layers: nn.Module, level: str, end: str) -> OrderedDict[str, nn.Module]:
    """The modules after the one called ``level``, through ``end``, where a container runs them one by one.

    Raises ``OptionError`` where none does: the modules of a stage cannot be called without the body around them then.
    """
    before, through = modules_through(layers, level), modules_through(layers, end)
    stage = {key: each for key, each in (through or {}).items() if before is not None and key not in before}
    outermost = {key: each for key, each in stage.items() if key.rpartition(".")[0] not in stage}
    # A list of features runs its own children one by one; in other models a container of blocks does.
    container = "" if isinstance(layers, FeatureListNet) else level.rpartition(".")[0]
    siblings = {key.rpartition(".")[0] for key in outermost} == {container}
    if not siblings or (container == "" and not isinstance(layers, FeatureListNet)):
        raise OptionError(
            f"roi.head=last_stage: the stages of backbone.body '{name}' cannot be taken apart; a ResNet's, a VGG's or "
            "an EfficientNet's can, and --set roi.head=layers needs no stage"
        )
    own = {key.rpartition(".")[2]: each for key, each in outermost.items()}
    return OrderedDict((f"stage_{key}" if key.isdigit() else key, each) for key, each in own.items())


def stride_in_first_conv(name: str, layers: nn.Module) -> None:
    """Move the stride of 2 of each bottleneck to its first 1x1 convolution, as in the ResNets of Caffe."""
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
    """Remove the stride of a stage that halves the resolution, and dilate its 3x3 kernels by 2 (DC5).

    With dilation the receptive fields stay as large as they were.
    """
    convs = [layer for layer in stage.modules() if isinstance(layer, nn.Conv2d)]
    pools = [layer for layer in stage.modules() if isinstance(layer, nn.AvgPool2d | nn.MaxPool2d)]
    if pools or not any(conv.stride == (2, 2) for conv in convs):
        raise OptionError(f"backbone.dilated_last_stage: backbone.body '{name}' is not a plain ResNet")
    for conv in convs:
        conv.stride = (1, 1)
        if conv.kernel_size == (3, 3):
            conv.dilation, conv.padding = (2, 2), (2, 2)
