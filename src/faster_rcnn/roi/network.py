"""Fast R-CNN, section 2: a small network gives each region a class and, per class, a second transform.

The twin of ``rpn/network.py``: proposals in the place of anchors.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

from faster_rcnn.ops.losses import box_loss, class_loss
from faster_rcnn.roi.detections import DetectionFilter, select_detections
from faster_rcnn.roi.pooling import Pooling, pool_regions
from faster_rcnn.roi.targets import RegionSampling, roi_targets
from faster_rcnn.structures import Detections, GroundTruth, ImageSize, Proposals, RoiLosses


class RegionHead(nn.Module):
    """Pooled features to one vector per region: convolutions if any, then fully connected layers (fc6, fc7)."""

    def __init__(self, channels: int, side: int, convs: Sequence[int], hidden: Sequence[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList()
        for width in convs:
            self.convs.append(_conv_norm(channels, width))
            channels = width
        self.layers = nn.ModuleList()
        inputs = channels * side * side
        for width in hidden:
            self.layers.append(nn.Linear(inputs, width))
            inputs = width
        self.outputs = inputs

    def forward(self, pooled: Float[Tensor, "regions channels side side"]) -> Float[Tensor, "regions hidden"]:
        """One vector per region."""
        for conv in self.convs:
            pooled = relu(conv(pooled))
        vectors = pooled.flatten(start_dim=1)
        for layer in self.layers:
            vectors = relu(layer(vectors))
        return vectors


class RegionClassifier(nn.Module):
    """Second stage: from features and proposals to classes and transforms, to losses, to detections."""

    def __init__(
        self,
        head: RegionHead,
        *,
        num_classes: int,
        pooling: Pooling,
        sampling: RegionSampling,
        detection_filter: DetectionFilter,
        box_loss_beta: float,
        box_loss_weight: float,
    ) -> None:
        super().__init__()
        self.head = head
        self.classes = nn.Linear(head.outputs, num_classes + 1)
        self.deltas = nn.Linear(head.outputs, num_classes * 4)
        nn.init.normal_(self.classes.weight, std=0.01)  # Fast R-CNN, section 2.3
        nn.init.normal_(self.deltas.weight, std=0.001)
        nn.init.zeros_(self.classes.bias)
        nn.init.zeros_(self.deltas.bias)
        self.num_classes = num_classes
        self.pooling = pooling
        self.sampling = sampling
        self.detection_filter = detection_filter
        self.box_loss_beta = box_loss_beta
        self.box_loss_weight = box_loss_weight

    def forward(
        self, features: list[Tensor], regions: Sequence[Float[Tensor, "_ 4"]]
    ) -> tuple[Float[Tensor, "regions outputs"], Float[Tensor, "regions classes 4"]]:
        """Logits of all classes and background (last), and deltas per class, for the regions of all images."""
        pooled = pool_regions(features[: len(self.pooling.strides)], regions, self.pooling)
        vectors = self.head(pooled)
        return self.classes(vectors), self.deltas(vectors).reshape(-1, self.num_classes, 4)

    def losses(
        self,
        features: list[Tensor],
        proposals: Sequence[Proposals],
        truths: Sequence[GroundTruth],
        seeds: Sequence[int],
    ) -> RoiLosses:
        """Losses over the sampled regions of all images; ``seeds``, one per image, decide which are sampled."""
        targets = [
            roi_targets(each, truth, self.sampling, self.num_classes, seed)
            for each, truth, seed in zip(proposals, truths, seeds, strict=True)
        ]
        logits, deltas = self(features, [target.boxes for target in targets])
        labels = torch.cat([target.labels for target in targets])
        positive = torch.cat([target.positive for target in targets])
        used = torch.cat([target.used for target in targets])
        wanted = torch.cat([target.deltas for target in targets])
        # Background has no deltas; its rows read those of class 0 and are masked out.
        of_class = deltas[torch.arange(len(labels), device=labels.device), labels.where(positive, 0)]
        return RoiLosses(
            classes=class_loss(logits, labels, used),
            box=self.box_loss_weight * box_loss(of_class, wanted, positive, used, self.box_loss_beta),
        )

    def detect(
        self, features: list[Tensor], proposals: Sequence[Proposals], sizes: Sequence[ImageSize]
    ) -> list[Detections]:
        """Detections of each image, in the frame of its proposals."""
        logits, deltas = self(features, [each.boxes for each in proposals])
        counts = [len(each.boxes) for each in proposals]
        parts = zip(logits.split(counts), deltas.split(counts), proposals, sizes, strict=True)
        return [select_detections(*part, self.detection_filter) for part in parts]


def _conv_norm(inputs: int, outputs: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))
