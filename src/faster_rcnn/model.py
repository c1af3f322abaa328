"""Section 3, Figure 2: two stages that share one set of features. The whole detector on one screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from faster_rcnn.backbone.pyramid import Backbone, largest_stride
from faster_rcnn.config import ImageConfig
from faster_rcnn.images import normalise, pad_to_batch, rescale_boxes, resize, size_of
from faster_rcnn.roi.network import RegionClassifier
from faster_rcnn.rpn.network import RegionProposalNetwork
from faster_rcnn.rpn.proposals import ProposalFilter
from faster_rcnn.structures import Detections, GroundTruth, ImageBatch, Losses


class FasterRCNN(nn.Module):
    """Detect objects in two stages: a network proposes regions, a second one classifies and corrects them."""

    def __init__(
        self,
        backbone: Backbone,
        rpn: RegionProposalNetwork,
        roi: RegionClassifier,
        image: ImageConfig,
        training_filter: ProposalFilter,
        inference_filter: ProposalFilter,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.rpn = rpn
        self.roi = roi
        self.image = image
        self.training_filter = training_filter
        self.inference_filter = inference_filter

    def forward(self, images: Sequence[Tensor], truths: Sequence[GroundTruth], seeds: Sequence[int]) -> Losses:
        """The four losses. Images (3, H, W) are at training size already; truths are in their frame."""
        batch = self.batch(images)
        features = self.backbone(batch.pixels)
        output, anchors = self.rpn(features), self.rpn.anchors(features, batch)
        rpn = self.rpn.losses(output, anchors, truths, seeds)
        proposals = self.rpn.propose(output, anchors, batch.sizes, self.training_filter)
        roi = self.roi.losses(features, proposals, truths, seeds)
        return Losses(rpn.objectness, rpn.box, roi.classes, roi.box)

    @torch.no_grad()
    def detect(self, images: Sequence[Tensor]) -> list[Detections]:
        """Detections in the pixels of the given images: (3, H, W), RGB, 8 bits or float in 0..1, of any sizes.

        An image's detections do not depend on its neighbours: only images of one padded shape share a batch, and
        batch norm is in the mode of inference whatever the mode of the model, which stays as it is.
        """
        prepared = [self._prepare(each) for each in images]
        found: dict[int, Detections] = {}
        stride = largest_stride(self.backbone.strides)
        for group in _of_equal_shape(prepared, stride):
            batch = pad_to_batch([prepared[index] for index in group], stride)
            for index, detections in zip(group, self._detect_batch(batch), strict=True):
                boxes = rescale_boxes(detections.boxes, size_of(prepared[index]), size_of(images[index]))
                found[index] = Detections(boxes, detections.scores, detections.labels)
        return [found[index] for index in range(len(images))]

    @torch.no_grad()
    def validate(
        self, images: Sequence[Tensor], truths: Sequence[GroundTruth], seeds: Sequence[int]
    ) -> tuple[Losses, list[Detections]]:
        """Losses and detections of resized images from one pass, both over the proposals of inference."""
        batch = self.batch(images)
        with _evaluating(self):
            features = self.backbone(batch.pixels)
            output, anchors = self.rpn(features), self.rpn.anchors(features, batch)
            rpn = self.rpn.losses(output, anchors, truths, seeds)
            proposals = self.rpn.propose(output, anchors, batch.sizes, self.inference_filter)
            roi = self.roi.losses(features, proposals, truths, seeds)
            losses = Losses(rpn.objectness, rpn.box, roi.classes, roi.box)
            return losses, self.roi.detect(features, proposals, batch.sizes)

    def batch(self, images: Sequence[Tensor]) -> ImageBatch:
        """Resized images, normalised and padded, ready for the backbone."""
        normalised = [normalise(each, self.image.mean, self.image.std) for each in images]
        return pad_to_batch(normalised, largest_stride(self.backbone.strides))

    def _prepare(self, pixels: Tensor) -> Tensor:
        """An image of any size, resized and normalised; in torchvision's order where torchvision's method is used."""
        short_side, long_side, method = self.image.short_side, self.image.long_side, self.image.resize
        if method == "plain":
            return resize(normalise(pixels, self.image.mean, self.image.std), short_side, long_side, method)
        return normalise(resize(pixels, short_side, long_side, method), self.image.mean, self.image.std)

    def _detect_batch(self, batch: ImageBatch) -> list[Detections]:
        with _evaluating(self):
            features = self.backbone(batch.pixels)
            output, anchors = self.rpn(features), self.rpn.anchors(features, batch)
            proposals = self.rpn.propose(output, anchors, batch.sizes, self.inference_filter)
            return self.roi.detect(features, proposals, batch.sizes)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Every layer in the mode of inference, and afterwards in the mode that it was in before."""
    in_training = [layer for layer in model.modules() if layer.training]
    model.eval()
    try:
        yield
    finally:
        for layer in in_training:
            layer.training = True


def _of_equal_shape(images: Sequence[Tensor], multiple: int) -> list[list[int]]:
    """Indices of images, grouped by their shape after padding."""
    groups: dict[tuple[int, int], list[int]] = {}
    for index, image in enumerate(images):
        size = size_of(image)
        groups.setdefault((-(-size.height // multiple), -(-size.width // multiple)), []).append(index)
    return list(groups.values())
