"""The peer of the training benchmarks: torchvision's Faster R-CNN with body, neck and image size of preset `small`.

It consists of torchvision's own parts with their defaults (2,000 proposals and 512 regions in training) and is trained
as in torchvision's reference scripts: with flipped images as the only augmentation, and SGD.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import timm
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from faster_rcnn.data.records import ImageRecord, Split
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import Detections
from faster_rcnn.weights.efficientnet_lite import BODY, imagenet_weights

SIZES = (32, 64, 128, 256, 512)
"""Anchor sizes, one for each level."""


class PeerBody(nn.Module):
    """EfficientNet-Lite0 with ImageNet weights and frozen batch norm, from timm, and torchvision's pyramid."""

    out_channels = 128

    def __init__(self) -> None:
        super().__init__()
        self.body = timm.create_model(BODY, features_only=True, out_indices=(1, 2, 3, 4))
        wanted = {name: each for name, each in self.body.state_dict().items() if "num_batches_tracked" not in name}
        self.body.load_state_dict(imagenet_weights(BODY, wanted), strict=False)  # only those counters are missing
        channels = self.body.feature_info.channels()  # type: ignore[union-attr, operator]  # timm is not typed
        self.neck = FeaturePyramidNetwork(channels, self.out_channels, LastLevelMaxPool())

    def train(self, mode: bool = True) -> PeerBody:
        super().train(mode)
        for layer in self.body.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval().requires_grad_(False)
        return self

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        features: dict[str, Tensor] = self.neck({str(i): each for i, each in enumerate(self.body(pixels))})
        return features


def peer_detector(config: Config, classes: int) -> nn.Module:
    """Build the peer in training mode."""
    detector: nn.Module = FasterRCNN(
        PeerBody(),
        num_classes=classes + 1,
        min_size=config.image.short_side,
        max_size=config.image.long_side,
        image_mean=list(config.image.mean),
        image_std=list(config.image.std),
        rpn_anchor_generator=AnchorGenerator(tuple((size,) for size in SIZES), ((0.5, 1.0, 2.0),) * len(SIZES)),
        box_roi_pool=MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2),
    )
    return detector.train()


def peer_optimizer(detector: nn.Module, *, lr: float, momentum: float, weight_decay: float) -> torch.optim.SGD:
    trained = [each for each in detector.parameters() if each.requires_grad]
    return torch.optim.SGD(trained, lr=lr, momentum=momentum, weight_decay=weight_decay)


def peer_records(split: Split) -> list[ImageRecord]:
    """The images with labelled boxes; torchvision's reference leaves the others out."""
    return [record for record in split.records if not bool(record.truth.ignored.all())]


def peer_step(
    detector: nn.Module,
    optimizer: torch.optim.Optimizer,
    records: Sequence[ImageRecord],
    random: Random,
    *,
    lr: float,
    clip_norm: float,
    bfloat16: bool,
) -> float:
    """Read a batch, flip each image with probability 0.5, train on it, and return the loss."""
    images, targets = zip(*(_example(record, flip=random.random() < 0.5) for record in records), strict=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        loss = torch.stack(list(detector(list(images), list(targets)).values())).sum()
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(detector.parameters(), clip_norm)
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.step()
    return float(loss.detach())


@torch.inference_mode()
def peer_detections(detector: nn.Module, path: Path) -> Detections:
    """Detections of an image, best first, in its pixels; the detector is in inference mode."""
    [found] = detector([_pixels(path)])
    return Detections(found["boxes"], found["scores"], found["labels"] - 1)  # 0 is torchvision's background


def _pixels(path: Path) -> Tensor:
    """Read an image as RGB (3, H, W) in 0..1, upright."""
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    return torch.from_numpy(np.asarray(upright).copy()).permute(2, 0, 1).float() / 255


def _example(record: ImageRecord, flip: bool) -> tuple[Tensor, dict[str, Tensor]]:
    pixels, counted = _pixels(record.path), ~record.truth.ignored
    boxes = record.truth.boxes[counted]
    if flip:
        width = pixels.shape[-1]
        x1, y1, x2, y2 = boxes.unbind(1)
        pixels, boxes = pixels.flip(-1), torch.stack([width - x2, y1, width - x1, y2], 1)
    return pixels, {"boxes": boxes, "labels": record.truth.labels[counted] + 1}
