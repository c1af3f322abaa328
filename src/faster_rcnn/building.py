"""From settings to a detector with new weights: the only file that hands settings to the parts of a detector."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import dropwhile
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from faster_rcnn.backbone.body import build_body
from faster_rcnn.backbone.norm import set_norm_epsilon
from faster_rcnn.backbone.pyramid import Backbone, FeaturePyramid
from faster_rcnn.backbone.stages import LastStage
from faster_rcnn.errors import OptionError
from faster_rcnn.model import FasterRCNN
from faster_rcnn.ops.losses import BoxLoss
from faster_rcnn.preparation import Preparation
from faster_rcnn.roi.detections import DetectionFilter
from faster_rcnn.roi.heads import RegionHead, StageHead
from faster_rcnn.roi.network import RegionClassifier
from faster_rcnn.roi.pooling import Pooling
from faster_rcnn.roi.targets import RegionSampling
from faster_rcnn.rpn.anchors import AnchorGenerator
from faster_rcnn.rpn.head import RpnHead
from faster_rcnn.rpn.network import RegionProposalNetwork
from faster_rcnn.rpn.proposals import ProposalFilter
from faster_rcnn.rpn.targets import AnchorSampling
from faster_rcnn.settings.schema import BackboneConfig, Config, ImageConfig, RoiConfig, RpnConfig


def build_model(config: Config, num_classes: int, holes: Sequence[int] = ()) -> FasterRCNN:
    """Build a detector with new weights.

    ``num_classes`` is K, without background; ``holes`` are labels that are never reported.
    """
    backbone = _build_backbone(config.backbone, config.image.multiple_of)
    with_rpn, with_roi = config.detector.kind != "fast-rcnn", config.detector.kind != "rpn"
    channels = backbone.channels
    stage = _last_stage(config) if with_roi and config.roi.head == "last_stage" else None
    return FasterRCNN(
        backbone,
        _build_rpn(config.rpn, channels, backbone.strides) if with_rpn else None,
        _build_roi(config.roi, channels, backbone.region_strides, num_classes, holes, stage) if with_roi else None,
        Preparation(config.image, backbone.stride),
        training_filter=_proposal_filter(
            config.rpn, config.rpn.proposals_before_nms_training, config.rpn.proposals_after_nms_training
        ),
        inference_filter=_inference_filter(config.rpn),
    )


def with_settings(
    model: FasterRCNN,
    *,
    image: ImageConfig | None = None,
    memory_format: torch.memory_format | None = None,
    inference_filter: ProposalFilter | None = None,
    detection_filter: DetectionFilter | None = None,
) -> FasterRCNN:
    """Build a detector of the same parts, with shared weights, for other images or other filters.

    ``memory_format`` is that of the batches of images.
    """
    given = {"image": image, "memory_format": memory_format}
    changes: dict[str, Any] = {name: each for name, each in given.items() if each is not None}
    preparation = replace(model.preparation, **changes)
    rule = inference_filter or model.inference_filter
    roi = model.roi if detection_filter is None else model.roi.with_filter(detection_filter)
    other = FasterRCNN(model.backbone, model.rpn, roi, preparation, model.training_filter, rule)
    other.training = model.training
    return other


def for_inference_with(config: Config, model: FasterRCNN) -> FasterRCNN:
    """Build a detector of the same parts, with shared weights, for the settings of inference in ``config``."""
    holes = () if model.roi is None else model.roi.detection_filter.holes
    return with_settings(
        model,
        image=config.image,
        inference_filter=_inference_filter(config.rpn),
        detection_filter=None if model.roi is None else _detection_filter(config.roi, holes),
    )


def build_without_values(config: Config, num_classes: int, holes: Sequence[int] = ()) -> FasterRCNN:
    """Build a detector on torch's meta device: its tensors have names and shapes and occupy no memory."""
    with torch.device("meta"), _NoRandomNumbers():
        return build_model(config, num_classes, holes)


def holds_weights_alone(model: nn.Module) -> bool:
    """Whether a module without values has no other tensors than those of its state dict.

    Some bodies compute tables when they are built, such as Swin's of relative positions, and a file holds none of them.
    """
    stored = model.state_dict()
    tables = [name for name, _ in model.named_buffers() if name not in stored]
    return not tables and not any(_is_meta(each) for module in model.modules() for each in vars(module).values())


def give_memory(model: nn.Module) -> None:
    """Move a module without values to the CPU: floats with any values, counters of batch norm with 0."""
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(_on_cpu(parameter), requires_grad=parameter.requires_grad))
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, _on_cpu(buffer))


def _on_cpu(tensor: Tensor) -> Tensor:
    make = torch.empty if tensor.is_floating_point() else torch.zeros
    return make(tensor.shape, dtype=tensor.dtype)


def _is_meta(value: object) -> bool:
    if isinstance(value, list | tuple):
        return any(_is_meta(each) for each in value)
    return isinstance(value, Tensor) and value.is_meta


class _NoRandomNumbers(TorchFunctionMode):
    """Leaves out the random numbers that layers begin with, which are a third of the time of building."""

    LEFT_OUT = frozenset(
        {Tensor.normal_, Tensor.uniform_, nn.init.kaiming_normal_, nn.init.kaiming_uniform_, nn.init.normal_}
    )

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in self.LEFT_OUT and args:
            return args[0]
        return func(*args, **(kwargs or {}))


def _build_backbone(config: BackboneConfig, multiple: int) -> Backbone:
    body = build_body(
        config.body,
        config.levels,
        config.frozen_stages,
        stride_in_1x1=config.stride_in_1x1,
        dilated_last_stage=config.dilated_last_stage,
        multiple=multiple,
    )
    set_norm_epsilon(body, config.norm_epsilon)
    if config.neck == "none" and len(config.levels) != 1:
        raise OptionError(f"backbone.neck=none takes one of the body's levels; backbone.levels is {config.levels}")
    pyramid = None
    if config.neck == "pyramid":
        pyramid = FeaturePyramid(body.channels, config.pyramid_channels, config.pyramid_norm, config.pyramid_plain)
    return Backbone(body, pyramid, frozen_norm=config.norm == "frozen")


def _last_stage(config: Config) -> LastStage:
    """The stage of the body that follows the level of a backbone without neck; it runs on regions (C4)."""
    backbone = config.backbone
    if backbone.neck != "none":
        raise OptionError("roi.head=last_stage continues the body's own features: it needs backbone.neck=none")
    stage = LastStage(
        backbone.body,
        backbone.levels[-1],
        frozen_norm=backbone.norm == "frozen",
        stride_in_1x1=backbone.stride_in_1x1,
    )
    set_norm_epsilon(stage, backbone.norm_epsilon)
    return stage


def _build_rpn(config: RpnConfig, channels: int, strides: Sequence[int]) -> RegionProposalNetwork:
    ratios = config.ratios_of_levels(len(strides))
    if len(ratios) != len(strides):
        raise OptionError(
            f"rpn.anchor_heights_over_widths has lists for {len(ratios)} levels; the backbone has {len(strides)}"
        )
    _refuse_uneven_anchors(config, ratios, strides)
    anchors = AnchorGenerator(
        config.anchor_sizes,
        ratios,
        strides,
        rounding=config.anchor_rounding,
        offset=config.anchor_offset,
        fitted=config.anchor_stride == "fitted",
    )
    head = RpnHead(
        channels,
        hidden=config.head_channels or channels,
        convs=config.head_convs,
        anchors_per_position=anchors.per_position,
        outputs_per_anchor=2 if config.objectness == "softmax" else 1,
        skipped=anchors.skipped,
    )
    sampling = AnchorSampling(
        config.positive_iou,
        config.negative_iou,
        config.samples_per_image,
        config.positive_fraction,
        config.crossing_anchors == "ignore",
    )
    loss = BoxLoss(config.box_loss, config.box_loss_beta, config.box_loss_weight)
    return RegionProposalNetwork(
        head, anchors, sampling, loss, loss_per_position=config.box_loss_normaliser == "positions"
    )


def _refuse_uneven_anchors(config: RpnConfig, ratios: Sequence[Sequence[float]], strides: Sequence[int]) -> None:
    """One network slides over all levels, so each position of each level has the same number of anchors."""
    sizes = [len(each) for each in config.anchor_sizes]
    if len(sizes) != len(strides):
        raise OptionError(
            f"rpn.anchor_sizes has {sizes} sizes per level; the backbone has {len(strides)} levels (strides "
            f"{tuple(strides)})"
        )
    counts = [size * len(each) for size, each in zip(sizes, ratios, strict=True)]
    with_anchors = list(dropwhile(lambda count: count == 0, counts))
    if len(set(with_anchors)) != 1:
        raise OptionError(
            f"rpn.anchor_sizes and rpn.anchor_heights_over_widths make {counts} anchors per position of the levels; "
            "each needs the same number, at least 1, except that the finest levels may have none"
        )


def _build_roi(
    config: RoiConfig,
    channels: int,
    strides: Sequence[int],
    num_classes: int,
    holes: Sequence[int],
    stage: LastStage | None,
) -> RegionClassifier:
    if stage is None:
        head: RegionHead | StageHead = RegionHead(
            channels, config.pooled_side, config.head_convs, config.head_hidden, config.dropout
        )
    else:
        head = StageHead(stage, stage.outputs)
    return RegionClassifier(
        head,
        num_classes=num_classes,
        pooling=Pooling(
            config.pooling, config.pooled_side, config.sampling_ratio, config.canonical_size, tuple(strides)
        ),
        sampling=RegionSampling(
            config.positive_iou,
            config.negative_iou,
            config.samples_per_image,
            config.positive_fraction,
            config.delta_weights,
            config.negative_iou_from,
        ),
        detection_filter=_detection_filter(config, holes),
        loss=BoxLoss(config.box_loss, config.box_loss_beta, config.box_loss_weight, config.delta_weights),
        class_agnostic=config.class_agnostic,
    )


def _detection_filter(config: RoiConfig, holes: Sequence[int]) -> DetectionFilter:
    return DetectionFilter(
        config.score_floor,
        config.min_side,
        config.nms_iou,
        config.max_detections,
        config.delta_weights,
        tuple(holes),
    )


def _inference_filter(config: RpnConfig) -> ProposalFilter:
    return _proposal_filter(config, config.proposals_before_nms, config.proposals_after_nms)


def _proposal_filter(config: RpnConfig, before_nms: int, after_nms: int) -> ProposalFilter:
    return ProposalFilter(before_nms, after_nms, config.nms_iou, config.min_side, config.min_objectness)
