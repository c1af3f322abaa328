"""Fast R-CNN, section 2: a small network predicts the class of each region and, per class, deltas.

The twin of ``rpn/network.py``: proposals in the place of anchors.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from faster_rcnn.losses import RoiLosses
from faster_rcnn.ops.losses import BoxLoss, box_loss, class_loss
from faster_rcnn.roi.detections import DetectionFilter, select_of_images
from faster_rcnn.roi.heads import RegionHead, StageHead
from faster_rcnn.roi.pooling import Pooling, pool_regions
from faster_rcnn.roi.targets import RegionSampling, roi_targets
from faster_rcnn.structures import Detections, GroundTruth, ImageSize, Proposals, RoiOutput


class RegionClassifier(nn.Module):
    """Second stage: from features and proposals to class logits and deltas, to losses, to detections."""

    def __init__(
        self,
        head: RegionHead | StageHead,
        *,
        num_classes: int,
        pooling: Pooling,
        sampling: RegionSampling,
        detection_filter: DetectionFilter,
        loss: BoxLoss,
        class_agnostic: bool = False,
    ) -> None:
        """``class_agnostic`` predicts one set of deltas per region instead of one for each class."""
        super().__init__()
        self.head = head
        self.classes = nn.Linear(head.outputs, num_classes + 1)
        self.deltas = nn.Linear(head.outputs, 4 if class_agnostic else num_classes * 4)
        nn.init.normal_(self.classes.weight, std=0.01)  # Fast R-CNN, section 2.3
        nn.init.normal_(self.deltas.weight, std=0.001)
        nn.init.zeros_(self.classes.bias)
        nn.init.zeros_(self.deltas.bias)
        self.num_classes = num_classes
        self.pooling = pooling
        self.sampling = sampling
        self.detection_filter = detection_filter
        self.loss = loss

    def with_filter(self, rule: DetectionFilter) -> RegionClassifier:
        """The same network, with shared layers, whose own filter of detections is ``rule``."""
        other = copy(self)
        other.detection_filter = rule
        return other

    def forward(self, features: list[Tensor], regions: Sequence[Float[Tensor, "_ 4"]]) -> RoiOutput:
        """Logits of all classes and background (last), and deltas per class, for the regions of all images."""
        return self.outputs(self.pool(features, regions))

    def pool(
        self, features: list[Tensor], regions: Sequence[Float[Tensor, "_ 4"]]
    ) -> Float[Tensor, "regions channels side side"]:
        """Features of the regions of all images, image by image."""
        return pool_regions(features[: len(self.pooling.strides)], regions, self.pooling)

    def outputs(self, pooled: Float[Tensor, "regions channels side side"]) -> RoiOutput:
        """Logits and deltas of pooled features, as ``forward`` gives them."""
        vectors = self.head(pooled)
        # The deltas of a class-agnostic network are those of every class.
        deltas = self.deltas(vectors).unflatten(1, (-1, 4)).expand(-1, self.num_classes, -1)
        return RoiOutput(self.classes(vectors), deltas)

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
        output: RoiOutput = self(features, [target.boxes for target in targets])
        labels = torch.cat([target.labels for target in targets])
        positive = torch.cat([target.positive for target in targets])
        used = torch.cat([target.used for target in targets])
        true_deltas = torch.cat([target.deltas for target in targets])
        references = torch.cat([target.boxes for target in targets])
        # Background has no deltas; its rows read those of class 0 and are masked out.
        of_class = output.deltas[torch.arange(len(labels), device=labels.device), labels.where(positive, 0)]
        return RoiLosses(
            classes=class_loss(output.logits, labels, used),
            box=box_loss(of_class, true_deltas, references, positive, used, self.loss),
        )

    def select(
        self,
        output: RoiOutput,
        proposals: Sequence[Proposals],
        sizes: Sequence[ImageSize],
        rule: DetectionFilter | None = None,
    ) -> list[Detections]:
        """Detections of each image in the frame of its proposals, by ``rule`` or by the detector's own filter."""
        return select_of_images(output.logits, output.deltas, proposals, sizes, rule or self.detection_filter)
