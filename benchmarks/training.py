"""Training: ours against torchvision's Faster R-CNN with the same body, neck, image size, batch and precision.

    python benchmarks/training.py --data DIR [--float32]

Both decode, augment and train on the same images; validation is not part of it. Each round trains both for a few
steps, in turn. The peer is built of torchvision's own parts with its defaults: 2,000 proposals and 512 regions.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from timing import compare
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from faster_rcnn.building import build_model
from faster_rcnn.config import Config
from faster_rcnn.data.loading import TrainingImage, TrainingLoader
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.data.records import Split
from faster_rcnn.presets import preset
from faster_rcnn.training.schedule import build_optimizer
from faster_rcnn.training.step import training_step
from faster_rcnn.weights.pretrained import load_pretrained


class PeerBody(nn.Module):
    """EfficientNet-Lite0 with frozen batch norm and a 128-channel pyramid, from timm's and torchvision's parts."""

    out_channels = 128

    def __init__(self) -> None:
        super().__init__()
        self.body = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=(1, 2, 3, 4))
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


def peer_steps(split: Split, config: Config, bfloat16: bool) -> Iterator[None]:
    """Trains torchvision's detector, one step for each item taken."""
    sizes = tuple((size,) for size in (32, 64, 128, 256, 512))
    model = FasterRCNN(
        PeerBody(),
        num_classes=len(split.classes) + 1,
        min_size=config.image.short_side,
        max_size=config.image.long_side,
        image_mean=list(config.image.mean),
        image_std=list(config.image.std),
        rpn_anchor_generator=AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes)),
        box_roi_pool=MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2),
    ).train()
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=1e-3, momentum=0.9)
    records = [record for record in split.records if len(record.truth.boxes)]
    while True:
        images, targets = [], []
        for record in random.sample(records, config.training.batch):
            pixels = torch.from_numpy(np.asarray(Image.open(record.path).convert("RGB")).copy())
            images.append(pixels.permute(2, 0, 1).float() / 255)
            targets.append({"boxes": record.truth.boxes, "labels": record.truth.labels + 1})
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = sum(model(images, targets).values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10)
        optimizer.step()
        yield


def our_steps(split: Split, config: Config, bfloat16: bool) -> Iterator[None]:
    """Trains our detector, one step for each item taken."""
    model = build_model(config, len(split.classes))
    load_pretrained(model, config)
    model = model.to(memory_format=torch.channels_last).train()
    optimizer = build_optimizer(model, lr=1e-3, momentum=0.9, weight_decay=1e-4)
    for batch in _endless(TrainingLoader(split, config.image, config.training, config.data)):
        training_step(
            model,
            optimizer,
            [one.pixels for one in batch],
            [one.truth for one in batch],
            [one.seed for one in batch],
            lr=1e-3,
            clip_norm=10,
            precision=torch.bfloat16 if bfloat16 else torch.float32,
        )
        yield


def _endless(loader: TrainingLoader) -> Iterator[list[TrainingImage]]:
    epoch = 0
    while True:
        yield from loader.epoch(epoch)
        epoch += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=5, help="of each in one round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--float32", action="store_true")
    options = parser.parse_args()
    config = preset("small")
    split = load_dataset(options.data, config.data).splits["train"]
    ours, peer = (make(split, config, not options.float32) for make in (our_steps, peer_steps))

    def take(steps: Iterator[None]) -> None:
        for _ in range(options.steps):
            next(steps)

    images = options.steps * config.training.batch
    compare(f"{images} images", lambda: take(ours), lambda: take(peer), options.rounds)


if __name__ == "__main__":
    main()
