"""What Detectron2's published definitions say, written down once more in plain float32, one image at a time.

It reads tensors under Detectron2's own names and its configuration under its own keys, knows nothing of the package
under test, and takes only suppression and RoI align from torchvision. Boxes are (x1, y1, x2, y2) in the pixels of the
image that goes in, which is not resized here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, linear, max_pool2d, pad
from torchvision.ops import batched_nms, roi_align

Tensors = Mapping[str, Tensor]
Settings = Mapping[str, Any]

RPN = "proposal_generator.rpn_head."
PREDICTOR = "roi_heads.box_predictor."
SCALE_CLAMP = math.log(1000 / 16)


def is_pyramid(tensors: Tensors) -> bool:
    return "backbone.fpn_lateral2.weight" in tensors


def is_c4(tensors: Tensors) -> bool:
    return "roi_heads.res5.0.conv1.weight" in tensors


def normalised(image: Tensor, settings: Settings, multiple: int) -> Tensor:
    """(1, 3, H, W), BGR, from uint8 RGB; padded with zeros to a multiple."""
    mean, std = (torch.tensor(settings[f"MODEL.PIXEL_{name}"])[:, None, None] for name in ("MEAN", "STD"))
    pixels = (image.flip(0).float() - mean) / std
    height, width = image.shape[1:]
    return pad(pixels, (0, -width % multiple, 0, -height % multiple))[None]


def conv(tensors: Tensors, name: str, x: Tensor, *, stride: int = 1, padding: int = 0, dilation: int = 1) -> Tensor:
    """A convolution, and the frozen batch norm behind it where there is one."""
    weight = tensors[f"{name}.weight"]
    groups = x.shape[1] // weight.shape[1]
    x = conv2d(x, weight, tensors.get(f"{name}.bias"), stride, padding, dilation, groups)
    if f"{name}.norm.weight" not in tensors:
        return x
    factor, shift, mean, variance = (
        tensors[f"{name}.norm.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = factor / torch.sqrt(variance + 1e-5)
    return x * scale[:, None, None] + (shift - mean * scale)[:, None, None]


def stage(
    tensors: Tensors, name: str, x: Tensor, *, stride: int, stride_in_1x1: bool = True, dilation: int = 1
) -> Tensor:
    """Bottlenecks, of which the first one has the stride."""
    block = 0
    while f"{name}.{block}.conv1.weight" in tensors:
        here, own = f"{name}.{block}", stride if block == 0 else 1
        first, second = (own, 1) if stride_in_1x1 else (1, own)
        branch = conv(tensors, f"{here}.conv1", x, stride=first).relu()
        branch = conv(tensors, f"{here}.conv2", branch, stride=second, padding=dilation, dilation=dilation).relu()
        branch = conv(tensors, f"{here}.conv3", branch)
        if f"{here}.shortcut.weight" in tensors:
            x = conv(tensors, f"{here}.shortcut", x, stride=own)
        x = (branch + x).relu()
        block += 1
    return x


def features_of(tensors: Tensors, settings: Settings, image: Tensor) -> tuple[list[Tensor], list[int]]:
    """Feature maps (1, C, rows, columns), finest first, and their strides."""
    pyramid, c4 = is_pyramid(tensors), is_c4(tensors)
    prefix = "backbone.bottom_up." if pyramid else "backbone."
    x = normalised(image, settings, 32 if pyramid else 1)
    x = max_pool2d(conv(tensors, f"{prefix}stem.conv1", x, stride=2, padding=3).relu(), 3, stride=2, padding=1)
    in_1x1 = settings["MODEL.RESNETS.STRIDE_IN_1X1"]
    maps = []
    for number in (2, 3, 4) if c4 else (2, 3, 4, 5):
        dilated = number == 5 and not pyramid
        stride = 1 if number == 2 or dilated else 2
        x = stage(tensors, f"{prefix}res{number}", x, stride=stride, stride_in_1x1=in_1x1, dilation=2 if dilated else 1)
        maps.append(x)
    if not pyramid:
        return maps[-1:], [16]
    merged = conv(tensors, "backbone.fpn_lateral5", maps[3])
    levels = [conv(tensors, "backbone.fpn_output5", merged, padding=1)]
    for number in (4, 3, 2):
        above = interpolate(merged, scale_factor=2.0, mode="nearest")
        merged = conv(tensors, f"backbone.fpn_lateral{number}", maps[number - 2]) + above
        levels.insert(0, conv(tensors, f"backbone.fpn_output{number}", merged, padding=1))
    return [*levels, max_pool2d(levels[-1], 1, stride=2)], [4, 8, 16, 32, 64]


def cell_anchors(sizes: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """Around (0, 0); ordered by size, then ratio (height over width)."""
    rows = []
    for size in sizes:
        for ratio in ratios:
            width = math.sqrt(size**2 / ratio)
            height = ratio * width
            rows.append([-width / 2, -height / 2, width / 2, height / 2])
    return torch.tensor(rows)


def grid_anchors(cell: Tensor, rows: int, columns: int, stride: int) -> Tensor:
    """Ordered by row, column, then as in the cell; centres at multiples of the stride."""
    centres = [(x * stride, y * stride) for y in range(rows) for x in range(columns)]
    shifts = torch.tensor([[x, y, x, y] for x, y in centres])
    return (shifts[:, None] + cell[None]).reshape(-1, 4)


def decode(deltas: Tensor, boxes: Tensor, weights: Sequence[float]) -> Tensor:
    """Box2BoxTransform.apply_deltas for one transform per box."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    x, y = boxes[:, 0] + 0.5 * width, boxes[:, 1] + 0.5 * height
    dx, dy, dw, dh = (deltas[:, index] / weight for index, weight in enumerate(weights))
    x, y = dx * width + x, dy * height + y
    width = torch.exp(dw.clamp(max=SCALE_CLAMP)) * width
    height = torch.exp(dh.clamp(max=SCALE_CLAMP)) * height
    return torch.stack((x - 0.5 * width, y - 0.5 * height, x + 0.5 * width, y + 0.5 * height), dim=1)


def clipped(boxes: Tensor, image: Tensor) -> Tensor:
    height, width = image.shape[1:]
    return torch.stack(
        [boxes[:, index].clamp(min=0, max=width if index % 2 == 0 else height) for index in range(4)], dim=1
    )


def nonempty(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0] > 0) & (boxes[:, 3] - boxes[:, 1] > 0)


def rpn_hidden(tensors: Tensors, features: Sequence[Tensor]) -> list[Tensor]:
    return [conv(tensors, f"{RPN}conv", each, padding=1).relu() for each in features]


def propose(
    tensors: Tensors, settings: Settings, features: Sequence[Tensor], strides: Sequence[int], image: Tensor
) -> tuple[Tensor, Tensor]:
    """Proposals and their logits, best first."""
    boxes, logits, levels = [], [], []
    sizes_of_levels = settings["MODEL.ANCHOR_GENERATOR.SIZES"]
    [ratios] = settings["MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS"]
    for level, (hidden, stride) in enumerate(zip(rpn_hidden(tensors, features), strides, strict=True)):
        cell = cell_anchors(sizes_of_levels[level], ratios)
        rows, columns = hidden.shape[2:]
        objectness = conv(tensors, f"{RPN}objectness_logits", hidden)[0].permute(1, 2, 0).flatten()
        deltas = conv(tensors, f"{RPN}anchor_deltas", hidden)[0].view(-1, 4, rows, columns).permute(2, 3, 0, 1)
        found = decode(
            deltas.reshape(-1, 4),
            grid_anchors(cell, rows, columns, stride),
            settings["MODEL.RPN.BBOX_REG_WEIGHTS"],
        )
        order = objectness.argsort(descending=True)[: settings["MODEL.RPN.PRE_NMS_TOPK_TEST"]]
        boxes.append(found[order])
        logits.append(objectness[order])
        levels.append(torch.full_like(order, level))
    every, score, level_of = clipped(torch.cat(boxes), image), torch.cat(logits), torch.cat(levels)
    keep = nonempty(every)
    every, score, level_of = every[keep], score[keep], level_of[keep]
    kept = batched_nms(every, score, level_of, settings["MODEL.RPN.NMS_THRESH"])
    kept = kept[: settings["MODEL.RPN.POST_NMS_TOPK_TEST"]]
    return every[kept], score[kept]


def levels_of(boxes: Tensor) -> Tensor:
    """0 is the level of stride 4 (FPN, Eq. 1)."""
    sizes = torch.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    return torch.floor(4 + torch.log2(sizes / 224 + 1e-8)).clamp(2, 5).long() - 2


def pooled(boxes: Tensor, features: Sequence[Tensor], strides: Sequence[int], side: int) -> Tensor:
    """ROIAlignV2: half a pixel to the left and up, as many samples as a bin is features long."""
    levels = levels_of(boxes) if len(features) > 1 else torch.zeros(len(boxes), dtype=torch.long)
    result = torch.zeros(len(boxes), features[0].shape[1], side, side)
    for level, (feature, stride) in enumerate(zip(features, strides, strict=True)):
        chosen = levels == level
        result[chosen] = roi_align(feature, [boxes[chosen]], side, 1 / stride, sampling_ratio=0, aligned=True)
    return result


def region_vectors(
    tensors: Tensors, settings: Settings, features: Sequence[Tensor], strides: Sequence[int], boxes: Tensor
) -> Tensor:
    """What the last two layers read, one row per region."""
    crops = pooled(boxes, features[:4], strides[:4], settings["MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION"])
    if is_c4(tensors):
        return stage(tensors, "roi_heads.res5", crops, stride=2).mean(dim=(2, 3))
    vectors = crops.flatten(1)
    for name in ("fc1", "fc2"):
        layer = f"roi_heads.box_head.{name}"
        vectors = linear(vectors, tensors[f"{layer}.weight"], tensors[f"{layer}.bias"]).relu()
    return vectors


def infer(
    tensors: Tensors, settings: Settings, vectors: Tensor, boxes: Tensor, image: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, scores and labels of the detections, best first; background is the last output."""
    scores = linear(vectors, tensors[f"{PREDICTOR}cls_score.weight"], tensors[f"{PREDICTOR}cls_score.bias"])
    scores = scores.softmax(dim=1)[:, :-1]
    deltas = linear(vectors, tensors[f"{PREDICTOR}bbox_pred.weight"], tensors[f"{PREDICTOR}bbox_pred.bias"])
    region, label = (scores > settings["MODEL.ROI_HEADS.SCORE_THRESH_TEST"]).nonzero(as_tuple=True)
    chosen = deltas.view(len(boxes), -1, 4)[region, label]
    found = clipped(decode(chosen, boxes[region], settings["MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS"]), image)
    score = scores[region, label]
    kept = batched_nms(found, score, label, settings["MODEL.ROI_HEADS.NMS_THRESH_TEST"])
    kept = kept[: settings["TEST.DETECTIONS_PER_IMAGE"]]
    kept = kept[nonempty(found[kept])]
    return found[kept], score[kept], label[kept]


def detect(
    tensors: Tensors, settings: Settings, image: Tensor, proposals: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, scores and labels; a first stage alone gives its proposals, with probabilities, as label 0."""
    features, strides = features_of(tensors, settings, image)
    if proposals is None:
        proposals, logits = propose(tensors, settings, features, strides, image)
        if f"{PREDICTOR}cls_score.weight" not in tensors:
            return proposals, logits.sigmoid(), torch.zeros(len(logits), dtype=torch.long)
    vectors = region_vectors(tensors, settings, features, strides, proposals)
    return infer(tensors, settings, vectors, proposals, image)
