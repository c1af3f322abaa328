"""A detector as a module of fixed shapes: from images of one size to padded detections, without any Python value.

The pass is that of ``FasterRCNN.stages``. Its two selections, whose number of boxes depends on the image, are those of
``first_stage`` and ``second_stage``: they keep as many places as the detector's limits allow.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from faster_rcnn.export.first_stage import Level, padded_proposals
from faster_rcnn.export.second_stage import candidates_of, padded_detections, pooled_features
from faster_rcnn.export.suppression import Selections
from faster_rcnn.model import FasterRCNN
from faster_rcnn.rpn.anchors import grid_of_anchors
from faster_rcnn.structures import ImageSize


class DetectionGraph(nn.Module):
    """The detector after the preparation of its images."""

    def __init__(self, model: FasterRCNN, ways: Selections, *, with_nms: bool) -> None:
        """Without ``with_nms`` the outputs are those before the NMS of the second stage."""
        super().__init__()
        self.backbone = model.backbone
        self.rpn_head = model.rpn.head
        self.roi = model.roi
        self.generator = model.rpn.anchors
        self.proposal_filter = model.inference_filter
        self.ways = ways
        self.with_nms = with_nms
        self.floats = next(model.parameters()).dtype  # of everything but boxes and scores

    def forward(
        self, pixels: Float[Tensor, "images 3 height width"], limits: Float[Tensor, "images 4"], factors: Tensor
    ) -> tuple[Tensor, ...]:
        """Boxes in the pixels of the given images, scores, labels and the number of detections.

        ``limits`` are the width and height, twice, of each resized image inside its padding; one row may stand for all
        images. The four ``factors`` lead from the frame of the resized images to that of the images that are given.

        Without NMS: boxes (B, P, K, 4) and scores (B, P, K) of every candidate.
        """
        features = self.backbone(pixels.to(self.floats))
        levels = self._levels(features, ImageSize(*pixels.shape[-2:]))
        proposals = padded_proposals(levels, limits, self.proposal_filter, self.ways)
        pooled = pooled_features(features, proposals.boxes, self.roi.pooling)
        rule = self.roi.detection_filter
        candidates = candidates_of(self.roi.outputs(pooled), proposals, limits, rule)
        if not self.with_nms:
            return candidates.boxes * factors, candidates.scores
        found = padded_detections(candidates, rule, self.ways)
        return found.boxes * factors, found.scores, found.labels, found.num

    def _levels(self, features: list[Tensor], padded: ImageSize) -> list[Level]:
        """Output and anchors of each level that has anchors, which are those of ``AnchorGenerator``."""
        grids = [ImageSize(*feature.shape[-2:]) for feature in features]
        strides = self.generator.strides_of(padded, grids)
        skipped = self.rpn_head.skipped
        return [
            Level(
                self.rpn_head([*features[:skipped], features[level]]),
                grid_of_anchors(self.generator.base[level], grids[level], strides[level], self.generator.offset),
            )
            for level in range(skipped, len(features))
        ]


class PreparedInGraph(nn.Module):
    """A detector for uint8 RGB images of one fixed size, which are resized, normalized and padded inside."""

    def __init__(self, graph: DetectionGraph, preparation: nn.Module) -> None:
        super().__init__()
        self.detector = graph
        self.preparation = preparation

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """From images (B, 3, H, W) to the outputs of ``DetectionGraph``."""
        outputs: tuple[Tensor, ...] = self.detector(*self.preparation(images))
        return outputs


class ResizedOutside(nn.Module):
    """A detector for images that are resized, normalized and padded already; boxes are in the resized image."""

    def __init__(self, graph: DetectionGraph) -> None:
        super().__init__()
        self.detector = graph

    def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, h, w) and their heights and widths inside the padding, (B, 2) integers."""
        limits = sizes.flip(1).repeat(1, 2).float()  # (B, 4): width and height, twice
        outputs: tuple[Tensor, ...] = self.detector(images, limits, torch.ones(4))
        return outputs
