"""Detectron2's detectors: our settings for each of them, and the names of its tensors there and here.

Settings and names are those of its model zoo (COCO-Detection). Three things differ beyond names. Its pixels are BGR in
0..255, so the input channels of the first convolution are reversed. Where a level has several anchor sizes, its anchors
are ordered by size, then ratio, and ours by ratio, then size. Its files may hold constants beside the weights.
Background is the last class in both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from faster_rcnn.errors import ModelFileError
from faster_rcnn.rpn.anchors import base_anchors
from faster_rcnn.settings.presets import base, c4
from faster_rcnn.settings.schema import Config, RoiConfig
from faster_rcnn.weights.classes import coco_80_classes, object_class
from faster_rcnn.weights.foreign.layout import Layout, Rules, renamed, reversed_rules

MIN_SIDE = float(torch.finfo(torch.float32).tiny)
"""Detectron2 drops only boxes without area; this is the smallest positive float32."""

NO_SCALE = (1 / 255, 1 / 255, 1 / 255)
"""Deviation of models that subtract a mean from pixels in 0..255 and divide by 1; our pixels are in 0..1."""

_MEAN, _STD = "pixel_mean", "pixel_std"
_CELL_ANCHORS = "proposal_generator.anchor_generator.cell_anchors."
_CONSTANT = re.compile(rf"{_MEAN}|{_STD}|{re.escape(_CELL_ANCHORS)}\d+|.*\.num_batches_tracked")

_STEM = "backbone.body.layers.conv1.weight"
_PER_ANCHOR = ("rpn.objectness.", "rpn.deltas.")

_BLOCK: Rules = (
    ("shortcut.norm.", "downsample.1."),
    ("shortcut.", "downsample.0."),
    ("conv1.norm.", "bn1."),
    ("conv1.", "conv1."),
    ("conv2.norm.", "bn2."),
    ("conv2.", "conv2."),
    ("conv3.norm.", "bn3."),
    ("conv3.", "conv3."),
)
"""Names within a bottleneck of ResNet."""

_STAGES: Rules = tuple((f"res{number + 1}.", f"layer{number}.") for number in (1, 2, 3, 4))

_PYRAMID: Rules = tuple(
    (f"backbone.{theirs}{level}.", f"backbone.pyramid.{ours}.{level - 2}.0.")
    for level in (2, 3, 4, 5)
    for theirs, ours in (("fpn_lateral", "lateral"), ("fpn_output", "output"))
)

_HEADS: Rules = (
    ("proposal_generator.rpn_head.conv.", "rpn.convs.0."),
    ("proposal_generator.rpn_head.objectness_logits.", "rpn.objectness."),
    ("proposal_generator.rpn_head.anchor_deltas.", "rpn.deltas."),
    ("roi_heads.box_head.fc1.", "roi.head.layers.0."),
    ("roi_heads.box_head.fc2.", "roi.head.layers.1."),
    ("roi_heads.box_predictor.cls_score.", "roi.classes."),
    ("roi_heads.box_predictor.bbox_pred.", "roi.deltas."),
)

_BLOCKS_OF_50 = (3, 4, 6, 3)
_BLOCKS_OF_101 = (3, 4, 23, 3)
"""Numbers of bottlenecks of the four stages (1512.03385, Table 1)."""


def _body(prefix: str, blocks: tuple[int, ...]) -> Rules:
    """Names of a ResNet: the stem, and the blocks of the first ``len(blocks)`` stages."""
    ours = "backbone.body.layers."
    stem = ((f"{prefix}stem.conv1.norm.", f"{ours}bn1."), (f"{prefix}stem.conv1.", f"{ours}conv1."))
    stages = zip(_STAGES, blocks, strict=False)
    return (*stem, *(rule for (theirs, own), count in stages for rule in _stage(prefix + theirs, ours + own, count)))


def _stage(theirs: str, ours: str, blocks: int) -> Rules:
    return tuple(
        (f"{theirs}{block}.{inner}", f"{ours}{block}.{own}") for block in range(blocks) for inner, own in _BLOCK
    )


def _fpn(body: str = "resnet50", *, stride_in_1x1: bool = True, std: tuple[float, float, float] = NO_SCALE) -> Config:
    """Settings of Base-RCNN-FPN: a pyramid of five levels."""
    ours = base()
    return ours.model_copy(
        update={
            "image": ours.image.model_copy(update={"resize": "antialias", "size_rounding": "nearest", "std": std}),
            "backbone": ours.backbone.model_copy(update={"body": body, "stride_in_1x1": stride_in_1x1}),
            "rpn": ours.rpn.model_copy(
                update={
                    "anchor_rounding": False,
                    "anchor_stride": "exact",
                    "box_loss_beta": 0.0,
                    "proposals_after_nms_training": 1000,
                    "min_side": MIN_SIDE,
                }
            ),
            "roi": _roi(7),
        }
    )


def _c4() -> Config:
    """Settings of Base-RCNN-C4: one level of stride 16, conv5 on each region."""
    ours = c4()
    image = {"size_rounding": "nearest", "std": NO_SCALE, "multiple_of": 1}
    rpn = {"box_loss_beta": 0.0, "proposals_after_nms": 1000, "min_side": MIN_SIDE}
    return ours.model_copy(
        update={
            "image": ours.image.model_copy(update=image),
            "backbone": ours.backbone.model_copy(update={"stride_in_1x1": True}),
            "rpn": ours.rpn.model_copy(update=rpn),
            "roi": _roi(14).model_copy(update={"head": "last_stage"}),
        }
    )


def _dc5() -> Config:
    """Settings of Base-RCNN-DilatedC5: one level of stride 16, from a dilated conv5; two layers on each region."""
    ours = _c4()
    backbone = ours.backbone.model_copy(update={"levels": (4,), "dilated_last_stage": True})
    return ours.model_copy(update={"backbone": backbone, "roi": _roi(7)})


def _roi(pooled_side: int) -> RoiConfig:
    return RoiConfig(
        pooling="aligned-align",
        pooled_side=pooled_side,
        sampling_ratio=0,
        box_loss_beta=0.0,
        min_side=MIN_SIDE,
    )


def _fast() -> Config:
    """Settings of the second stage alone, with external proposals: 1000, as in its inference.

    In training Detectron2 uses 2000 of them, for which there is no separate setting here.
    """
    ours = _fpn()
    detector = ours.detector.model_copy(update={"kind": "fast-rcnn", "outside_proposals": 1000})
    return ours.model_copy(update={"detector": detector})


def _rpn() -> Config:
    """Settings of the first stage alone."""
    ours = _fpn()
    detector = ours.detector.model_copy(update={"kind": "rpn"})
    rpn = ours.rpn.model_copy(update={"proposals_after_nms": 2000})
    return ours.model_copy(update={"detector": detector, "rpn": rpn})


def without_constants(foreign: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop mean, deviation, anchors and counters from Detectron2's tensors; our detectors take them from settings."""
    return {name: tensor for name, tensor in foreign.items() if not _CONSTANT.fullmatch(name)}


def from_detectron2(foreign: Mapping[str, Tensor], rules: Rules, sizes: int) -> dict[str, Tensor]:
    """Rename Detectron2's tensors to our names and reorder them; ``sizes`` is the number of anchor sizes per level."""
    ours = {renamed(name, rules): tensor for name, tensor in foreign.items()}
    return {name: _reordered(name, tensor, (sizes, -1)) for name, tensor in ours.items()}


def to_detectron2(ours: Mapping[str, Tensor], rules: Rules, sizes: int) -> dict[str, Tensor]:
    """Rename our tensors to Detectron2's names and reorder them, the inverse of ``from_detectron2``."""
    back = reversed_rules(rules)
    return {renamed(name, back): _reordered(name, tensor, (-1, sizes)) for name, tensor in ours.items()}


def _reordered(name: str, tensor: Tensor, grid: tuple[int, int]) -> Tensor:
    """Transpose the rows of anchors from ``grid``, (sizes, ratios) or (ratios, sizes), and swap BGR and RGB."""
    if name == _STEM:
        return tensor.flip(1)
    if not name.startswith(_PER_ANCHOR):
        return tensor
    columns = 4 if name.startswith("rpn.deltas.") else 1
    anchors: Tensor = tensor.unflatten(0, (-1, columns)).unflatten(0, grid)
    return anchors.transpose(0, 1).flatten(0, 2)


def read_settings(source: Path | str, foreign: Mapping[str, Tensor], config: Config, sizes: int) -> Config:
    """Take mean and deviation from the file where it has them; ``sizes`` is the number of anchor sizes per level.

    Raises ``ModelFileError`` (E123) where the file has other anchors than ``config``, or a mean in the order RGB.
    """
    found_sizes = {len(each) for each in config.rpn.anchor_sizes}
    if found_sizes != {sizes}:
        raise ModelFileError(
            f"rpn.anchor_sizes has {sorted(found_sizes)} sizes per level, and this layout's rows are ordered for "
            f"{sizes}; give as many with --set rpn.anchor_sizes",
            code="E123",
        )
    update = {}
    for name, own in ((_MEAN, config.image.mean), (_STD, config.image.std)):
        found = _colours(source, name, foreign[name]) if name in foreign else own
        # The file's float32 differs from our 0.485 in the last digits; nearly equal values are not replaced.
        update[name.removeprefix("pixel_")] = own if _close(found, own) else found
    _refuse_rgb(source, update["mean"], config.image.mean)
    _refuse_other_anchors(source, foreign, config)
    return config.model_copy(update={"image": config.image.model_copy(update=update)})


def _colours(source: Path | str, name: str, tensor: Tensor) -> tuple[float, ...]:
    """RGB in 0..1 from BGR in 0..255; raises ``ModelFileError`` (E123) for anything but three such numbers."""
    values = [float(value) / 255 for value in tensor.flatten()]
    if len(values) != 3 or not all(0 <= value <= 1 for value in values) or (name == _STD and min(values) == 0):
        raise ModelFileError(
            f"{source}: '{name}' is {tensor.flatten()[:4].tolist()}, which are not three numbers for B, G and R of "
            "0..255; nothing was loaded. A file without this tensor is imported with the layout's own",
            code="E123",
        )
    return tuple(reversed(values))


def _refuse_rgb(source: Path | str, mean: tuple[float, ...], own: tuple[float, ...]) -> None:
    if not _close(mean, own) and _close(tuple(reversed(mean)), own):
        raise ModelFileError(
            f"{source}: '{_MEAN}' is in the order RGB, and the models of this layout read BGR; nothing was loaded. "
            "Reverse the input channels of stem.conv1.weight and the numbers of this tensor, and import that",
            code="E123",
        )


def _refuse_other_anchors(source: Path | str, foreign: Mapping[str, Tensor], config: Config) -> None:
    ratios = [float(each) for each in config.rpn.anchor_heights_over_widths if not isinstance(each, tuple)]
    for level, sizes in enumerate(config.rpn.anchor_sizes):
        found = foreign.get(f"{_CELL_ANCHORS}{level}")
        # Detectron2 orders its anchors by size first.
        own = torch.cat([base_anchors([size], ratios, rounding=False) for size in sizes])
        if found is not None and (found.shape != own.shape or not bool(torch.isclose(found.float(), own).all())):
            raise ModelFileError(
                f"{source}: '{_CELL_ANCHORS}{level}' holds other anchors than this layout, of the sizes {sizes} and "
                f"the ratios {tuple(ratios)}; nothing was loaded. Import it with its own: --set rpn.anchor_sizes and "
                "--set rpn.anchor_heights_over_widths",
                code="E123",
            )


def _close(some: tuple[float, ...], others: tuple[float, ...]) -> bool:
    return all(abs(one - other) < 1e-6 for one, other in zip(some, others, strict=True))


def _layout(config: Callable[[], Config], names: Rules, sizes: int = 1) -> Layout:
    """The layout of a detector with a second stage; ``sizes`` is the number of anchor sizes per level."""
    return Layout(
        config=config,
        with_current_names=without_constants,
        to_ours=partial(from_detectron2, rules=names, sizes=sizes),
        to_theirs=partial(to_detectron2, rules=names, sizes=sizes),
        class_scores="roi_heads.box_predictor.cls_score.weight",
        classes=coco_80_classes,
        read_settings=partial(read_settings, sizes=sizes),
    )


def _with_pyramid(blocks: tuple[int, ...]) -> Rules:
    return (*_body("backbone.bottom_up.", blocks), *_PYRAMID, *_HEADS)


LAYOUTS = {
    "detectron2:faster_rcnn_R_50_FPN_3x": _layout(_fpn, _with_pyramid(_BLOCKS_OF_50)),
    "detectron2:faster_rcnn_R_50_C4_3x": _layout(
        _c4,
        (
            *_body("backbone.", _BLOCKS_OF_50[:3]),
            *_stage("roi_heads.res5.", "roi.head.stage.layer4.", _BLOCKS_OF_50[3]),
            *_HEADS,
        ),
        sizes=5,
    ),
    "detectron2:faster_rcnn_R_50_DC5_3x": _layout(_dc5, (*_body("backbone.", _BLOCKS_OF_50), *_HEADS), sizes=5),
    "detectron2:faster_rcnn_R_101_FPN_3x": _layout(partial(_fpn, "resnet101"), _with_pyramid(_BLOCKS_OF_101)),
    "detectron2:faster_rcnn_X_101_32x8d_FPN_3x": _layout(
        partial(_fpn, "resnext101_32x8d", stride_in_1x1=False, std=(0.229, 0.224, 0.225)),
        _with_pyramid(_BLOCKS_OF_101),
    ),
    "detectron2:fast_rcnn_R_50_FPN_1x": _layout(_fast, _with_pyramid(_BLOCKS_OF_50)),
    "detectron2:rpn_R_50_FPN_1x": replace(
        _layout(_rpn, _with_pyramid(_BLOCKS_OF_50)), class_scores=None, classes=object_class
    ),
}
