"""Faster R-CNN, section 3 and Figure 2: two stages that share one set of features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from faster_rcnn import stages as stage
from faster_rcnn.backbone.pyramid import Backbone
from faster_rcnn.images import rescale_detections, rescale_proposals, rescale_truth
from faster_rcnn.losses import Losses
from faster_rcnn.preparation import Preparation
from faster_rcnn.roi.detections import DetectionFilter
from faster_rcnn.roi.network import RegionClassifier
from faster_rcnn.rpn.network import RegionProposalNetwork, first_stage
from faster_rcnn.rpn.proposals import ProposalFilter
from faster_rcnn.structures import Detections, ImageBatch, Proposals, TrainingBatch


class FasterRCNN(nn.Module):
    """Detect objects in two stages: a network proposes regions, a second network classifies and corrects them.

    Without the first stage this is Fast R-CNN, which needs external ``proposals``. Without the second stage it is a
    region proposal network, whose proposals are its detections of the single class "object". External proposals are in
    the frame of the images that they come with; they replace those of the first stage.
    """

    def __init__(
        self,
        backbone: Backbone,
        rpn: RegionProposalNetwork | None,
        roi: RegionClassifier | None,
        preparation: Preparation,
        training_filter: ProposalFilter,
        inference_filter: ProposalFilter,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        # Either stage may be None. They are typed as present, so that code for two-stage detectors need not check.
        self.rpn: RegionProposalNetwork = rpn  # type: ignore[assignment]
        self.roi: RegionClassifier = roi  # type: ignore[assignment]
        self.preparation = preparation
        self.training_filter = training_filter
        self.inference_filter = inference_filter

    def forward(self, batch: TrainingBatch) -> Losses:
        """Compute the losses of both stages by approximate joint training (section 3.2), for images at training size.

        Raises ``ValueError`` where the detector has no first stage and the batch has no proposals.
        """
        images = self.preparation.batch(batch.images, batch.canvas)
        features = self.backbone(images.pixels)
        rpn_losses = roi_losses = None
        proposals: Sequence[Proposals] | None = batch.proposals
        if proposals is None:
            anchors = first_stage(self.rpn).anchors(features, images)
            rpn_losses = self.rpn.losses(features, anchors, images.sizes, batch.truths, batch.seeds)
            if self.roi is not None:  # a first stage that is trained alone needs no proposals
                proposals = self.rpn.propose(features, anchors, images.sizes, self.training_filter)
        if self.roi is not None and proposals is not None:
            roi_losses = self.roi.losses(features, proposals, batch.truths, batch.seeds)
        return Losses.of_stages(rpn_losses, roi_losses)

    def stages(
        self, images: ImageBatch, external: Sequence[Proposals] | None = None, rule: DetectionFilter | None = None
    ) -> Iterator[stage.StageValue]:
        """Compute inference stage by stage, each stage when its value is asked for; see ``faster_rcnn.stages``.

        ``external`` proposals replace the first stage, ``rule`` replaces the second stage's own filter of detections.
        All boxes are in the frame of the resized images. Raises ``ValueError`` as ``forward`` does.
        """
        body = self.backbone.through_body(images.pixels)
        yield stage.BODY, body
        features = self.backbone.through_neck(body)
        del body  # a large map is freed as soon as no later stage reads it
        yield stage.FEATURES, features
        proposals = list(external or ())
        if external is None:
            output = first_stage(self.rpn)(features)
            yield stage.RPN_OUTPUT, output
            anchors = self.rpn.anchors(features, images)
            proposals = self.rpn.select(output, anchors, images.sizes, self.inference_filter)
            del output
        yield stage.PROPOSALS, proposals
        if self.roi is None:
            yield stage.DETECTIONS, [Detections.of_objects(each) for each in proposals]
            return
        pooled = self.roi.pool(features, [each.boxes for each in proposals])
        del features
        yield stage.POOLED, pooled
        regions = self.roi.outputs(pooled)
        del pooled
        yield stage.ROI_OUTPUT, regions
        yield stage.DETECTIONS, self.roi.select(regions, proposals, images.sizes, rule)

    @torch.no_grad()
    def detect(
        self,
        images: Sequence[Tensor],
        proposals: Sequence[Proposals] | None = None,
        rule: DetectionFilter | None = None,
    ) -> list[Detections]:
        """Detections in the pixels of the given images: RGB (3, H, W), uint8 or float in 0..1, of any sizes.

        The detections of an image do not depend on its neighbours: only images of one padded size share a batch, and
        batch norm is in inference mode whatever the mode of the model, which stays as it is. ``rule`` replaces the
        second stage's own filter of detections.
        """
        found: dict[int, Detections] = {}
        with stage.evaluating(self):
            for group in self.preparation.groups(images):
                stages = self.stages(group.images, group.proposals(proposals), rule)
                found |= group.in_originals(stage.until(stages, stage.DETECTIONS), rescale_detections)
        return [found[index] for index in range(len(images))]

    @torch.no_grad()
    def propose(self, images: Sequence[Tensor]) -> list[Proposals]:
        """The first stage's proposals of inference, best first, in the pixels of the given images of any sizes."""
        found: dict[int, Proposals] = {}
        with stage.evaluating(self):
            for group in self.preparation.groups(images):
                proposals = stage.until(self.stages(group.images), stage.PROPOSALS)
                found |= group.in_originals(proposals, rescale_proposals)
        return [found[index] for index in range(len(images))]

    @torch.no_grad()
    def validate(self, batch: TrainingBatch) -> tuple[Losses, list[Detections]]:
        """Mean losses over images of any sizes and the detections of ``detect``, both from one pass.

        Truths are in the pixels of their images. The losses, too, are over the proposals of inference.
        """
        found: dict[int, Detections] = {}
        parts: list[tuple[float, Losses]] = []
        with stage.evaluating(self):
            for group in self.preparation.groups(batch.images):
                stages = self.stages(group.images, group.proposals(batch.proposals))
                features = stage.until(stages, stage.FEATURES)
                labels = group.resized(batch.truths, rescale_truth), [batch.seeds[index] for index in group.indices]
                rpn_losses = roi_losses = None
                if batch.proposals is None:
                    output, anchors = stage.until(stages, stage.RPN_OUTPUT), self.rpn.anchors(features, group.images)
                    rpn_losses = self.rpn.losses(features, anchors, group.images.sizes, *labels, known=output)
                proposals = stage.until(stages, stage.PROPOSALS)
                found |= group.in_originals(stage.until(stages, stage.DETECTIONS), rescale_detections)
                if self.roi is not None:
                    roi_losses = self.roi.losses(features, proposals, *labels)
                parts.append((len(group.indices) / len(batch.images), Losses.of_stages(rpn_losses, roi_losses)))
        return Losses.weighted(parts), [found[index] for index in range(len(batch.images))]
