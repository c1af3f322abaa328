"""Section 3, Figure 2: two stages that share one set of features. The whole detector on one screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from faster_rcnn.backbone.pyramid import Backbone
from faster_rcnn.images import (
    is_large,
    normalise,
    pad_to_batch,
    padded,
    rescale_boxes,
    rescale_proposals,
    rescale_truth,
    resize,
    size_of,
    target_size,
)
from faster_rcnn.roi.detections import DetectionFilter
from faster_rcnn.roi.network import RegionClassifier
from faster_rcnn.rpn.network import RegionProposalNetwork
from faster_rcnn.rpn.proposals import ProposalFilter
from faster_rcnn.settings.schema import ImageConfig
from faster_rcnn.structures import Anchors, Detections, GroundTruth, ImageBatch, ImageSize, Losses, Proposals, RpnOutput


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What the shared features and the first stage make of a batch."""

    features: list[Tensor]
    output: RpnOutput | None
    """Of the first stage, where it ran, for proposals; without gradient."""
    anchors: Anchors | None
    """Of the first stage, where there is one and proposals are its own."""
    proposals: list[Proposals]


class FasterRCNN(nn.Module):
    """Detect objects in two stages: a network proposes regions, a second one classifies and corrects them.

    Without the first stage it is Fast R-CNN, which needs ``proposals`` from outside; without the second one it is a
    region proposal network, whose proposals are its detections of the one class "object". Proposals from outside
    are in the frame of the images that they come with, and take the place of the first stage's.
    """

    def __init__(
        self,
        backbone: Backbone,
        rpn: RegionProposalNetwork | None,
        roi: RegionClassifier | None,
        image: ImageConfig,
        training_filter: ProposalFilter,
        inference_filter: ProposalFilter,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        # Either may be None. They are typed as if both were there, for all who know that their detector has both.
        self.rpn: RegionProposalNetwork = rpn  # type: ignore[assignment]
        self.roi: RegionClassifier = roi  # type: ignore[assignment]
        self.image = image
        self.training_filter = training_filter
        self.inference_filter = inference_filter
        self.memory_format = torch.contiguous_format
        """Of the pixels that the backbone reads."""

    def forward(
        self,
        images: Sequence[Tensor],
        truths: Sequence[GroundTruth],
        seeds: Sequence[int],
        proposals: Sequence[Proposals] | None = None,
    ) -> Losses:
        """The losses of the stages. Images (3, H, W) are at training size already; truths are in their frame."""
        batch = self.batch(images)
        # Nobody reads the proposals of a first stage that is trained alone.
        rule = None if self.roi is None else self.training_filter
        return self._losses(self._look(batch, rule, proposals), batch, truths, seeds)

    @torch.no_grad()
    def detect(
        self,
        images: Sequence[Tensor],
        proposals: Sequence[Proposals] | None = None,
        rule: DetectionFilter | None = None,
    ) -> list[Detections]:
        """Detections in the pixels of the given images: (3, H, W), RGB, 8 bits or float in 0..1, of any sizes.

        ``rule`` takes the place of the second stage's own filter of detections.

        An image's detections do not depend on its neighbours: only images of one padded shape share a batch, and
        batch norm is in the mode of inference whatever the mode of the model, which stays as it is.
        """
        found: dict[int, Detections] = {}
        for group, batch, seen in self._passes(images, proposals):
            found |= self._in_originals(self._detections(seen, batch, rule), group, batch, images)
        return [found[index] for index in range(len(images))]

    @torch.no_grad()
    def propose(self, images: Sequence[Tensor]) -> list[Proposals]:
        """The first stage's proposals of inference, best first, in the pixels of the given images of any sizes."""
        found: dict[int, Proposals] = {}
        for group, batch, seen in self._passes(images, None):
            for index, size, each in zip(group, batch.sizes, seen.proposals, strict=True):
                found[index] = rescale_proposals(each, size, size_of(images[index]))
        return [found[index] for index in range(len(images))]

    @torch.no_grad()
    def validate(
        self,
        images: Sequence[Tensor],
        truths: Sequence[GroundTruth],
        seeds: Sequence[int],
        proposals: Sequence[Proposals] | None = None,
    ) -> tuple[Losses, list[Detections]]:
        """Losses, their mean over the images, and the detections of ``detect``: both from one pass.

        Images are of any sizes, truths in their pixels. The losses, too, are over the proposals of inference.
        """
        found: dict[int, Detections] = {}
        sums: dict[str, Tensor] = {}
        for group, batch, seen in self._passes(images, proposals):
            found |= self._in_originals(self._detections(seen, batch), group, batch, images)
            pairs = list(zip(group, batch.sizes, strict=True))
            resized = [rescale_truth(truths[index], size_of(images[index]), size) for index, size in pairs]
            losses = self._losses(seen, batch, resized, [seeds[index] for index in group])
            for name, value in losses.named().items():
                sums[name] = sums.get(name, value.new_zeros(())) + value * (len(group) / len(images))
        named = dict.fromkeys(("rpn_objectness", "rpn_box", "roi_class", "roi_box")) | sums
        return Losses(**named), [found[index] for index in range(len(images))]

    def _passes(
        self, images: Sequence[Tensor], proposals: Sequence[Proposals] | None
    ) -> Iterator[tuple[list[int], ImageBatch, _Seen]]:
        """Batches of one padded shape, with the indices of their images, in the mode of inference."""
        for group, batch, scaled in self._batches(images, proposals):
            with _evaluating(self):
                yield group, batch, self._look(batch, self.inference_filter, scaled)

    @staticmethod
    def _in_originals(
        detections: Sequence[Detections], group: Sequence[int], batch: ImageBatch, images: Sequence[Tensor]
    ) -> dict[int, Detections]:
        """Detections by index of the image, in its pixels."""
        return {
            index: Detections(rescale_boxes(each.boxes, size, size_of(images[index])), each.scores, each.labels)
            for index, size, each in zip(group, batch.sizes, detections, strict=True)
        }

    def _look(self, batch: ImageBatch, rule: ProposalFilter | None, outside: Sequence[Proposals] | None) -> _Seen:
        """Features, and proposals of the first stage unless there are some from outside, or no rule for them."""
        features = self.backbone(batch.pixels)
        if outside is not None:
            return _Seen(features, None, None, list(outside))
        if self.rpn is None:
            raise ValueError("Fast R-CNN has no first stage: it needs proposals from outside")
        anchors = self.rpn.anchors(features, batch)
        if rule is None:
            return _Seen(features, None, anchors, [])
        with torch.no_grad():
            output = self.rpn(features)
        return _Seen(features, output, anchors, self.rpn.propose(output, anchors, batch.sizes, rule))

    def _losses(self, seen: _Seen, batch: ImageBatch, truths: Sequence[GroundTruth], seeds: Sequence[int]) -> Losses:
        rpn = roi = None
        if self.rpn is not None and seen.anchors is not None:
            given = seen.anchors, batch.sizes, truths, seeds
            if seen.output is None or torch.is_grad_enabled():
                rpn = self.rpn.losses_at_samples(seen.features, *given)
            else:
                rpn = self.rpn.losses(seen.output, *given)
        if self.roi is not None:
            roi = self.roi.losses(seen.features, seen.proposals, truths, seeds)
        return Losses.of_stages(rpn, roi)

    def _detections(self, seen: _Seen, batch: ImageBatch, rule: DetectionFilter | None = None) -> list[Detections]:
        """In the frame of the resized images."""
        if self.roi is not None:
            return self.roi.detect(seen.features, seen.proposals, batch.sizes, rule)
        return [Detections(each.boxes, each.scores, torch.zeros_like(each.scores).long()) for each in seen.proposals]

    def _batches(
        self, images: Sequence[Tensor], proposals: Sequence[Proposals] | None
    ) -> Iterator[tuple[list[int], ImageBatch, list[Proposals] | None]]:
        """Images of any sizes, prepared, in batches of one padded shape: their indices, pixels and own proposals."""
        prepared = [self.prepare(each) for each in images]
        for group in _of_equal_shape(prepared, self.multiple):
            batch = self.pad([prepared[index] for index in group])
            scaled = None
            if proposals is not None:
                pairs = zip(group, batch.sizes, strict=True)
                scaled = [rescale_proposals(proposals[index], size_of(images[index]), size) for index, size in pairs]
            yield group, batch, scaled

    @property
    def multiple(self) -> int:
        """What the sides of a batch are multiples of."""
        return self.image.multiple_of or self.backbone.stride

    def padded_size(self, size: ImageSize) -> ImageSize:
        """Of an image of that size, resized and padded for itself."""
        image = self.image
        return padded(target_size(size, image.short_side, image.long_side, image.size_rounding), self.multiple)

    def batch(self, images: Sequence[Tensor]) -> ImageBatch:
        """Resized images, normalised and padded, ready for the backbone."""
        normalised = [normalise(each, self.image.mean, self.image.std) for each in images]
        return self.pad(normalised)

    def pad(self, prepared: Sequence[Tensor]) -> ImageBatch:
        """Images that are resized and normalised, in one batch."""
        return pad_to_batch(prepared, self.multiple, self.memory_format)

    def prepare(self, pixels: Tensor) -> Tensor:
        """An image of any size, resized and normalised; in torchvision's order where torchvision's method is used.

        A large image is resized first in any case: the order changes the last bits only, and normalised it would be
        four times as large.
        """
        rule = self.image.short_side, self.image.long_side, self.image.resize, self.image.size_rounding
        if self.image.resize == "plain" and not is_large(pixels):
            return resize(normalise(pixels, self.image.mean, self.image.std), *rule)
        return normalise(resize(pixels, *rule), self.image.mean, self.image.std)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Every layer in the mode of inference, and afterwards in the mode that it was in before."""
    in_training = [layer for layer in model.modules() if layer.training]
    if in_training:
        model.eval()
    try:
        yield
    finally:
        for layer in in_training:
            layer.training = True


def _of_equal_shape(images: Sequence[Tensor], multiple: int) -> list[list[int]]:
    """Indices of images, grouped by their shape after padding."""
    groups: dict[ImageSize, list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault(padded(size_of(image), multiple), []).append(index)
    return list(groups.values())
