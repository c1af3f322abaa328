"""Section 3.1: the region proposal network slides over the features and speaks about k anchors at every position.

The twin of ``roi/network.py``: a small network scores reference boxes and moves them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from faster_rcnn.ops.losses import box_loss, objectness_loss
from faster_rcnn.rpn.anchors import anchors_of_levels, base_anchors, fitted_strides
from faster_rcnn.rpn.proposals import ProposalFilter, select_proposals
from faster_rcnn.rpn.targets import AnchorSampling, rpn_targets
from faster_rcnn.structures import Anchors, GroundTruth, ImageBatch, ImageSize, Proposals, RpnLosses, RpnOutput


class RegionProposalNetwork(nn.Module):
    """First stage: from features to an object score and a transform for every anchor, to losses, to proposals."""

    def __init__(
        self,
        channels: int,
        *,
        convs: int,
        outputs_per_anchor: int,
        anchor_sizes: Sequence[Sequence[float]],
        heights_over_widths: Sequence[float],
        anchor_rounding: bool,
        strides: Sequence[int],
        fitted_strides: bool,
        sampling: AnchorSampling,
        box_loss_beta: float,
        box_loss_weight: float,
    ) -> None:
        super().__init__()
        per_position = len(anchor_sizes[0]) * len(heights_over_widths)
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(convs))
        self.objectness = nn.Conv2d(channels, per_position * outputs_per_anchor, 1)
        self.deltas = nn.Conv2d(channels, per_position * 4, 1)
        for layer in (*self.convs, self.objectness, self.deltas):
            nn.init.normal_(layer.weight, std=0.01)  # section 3.1.3
            nn.init.zeros_(layer.bias)
        self.outputs_per_anchor = outputs_per_anchor
        self.base_anchors = [base_anchors(sizes, heights_over_widths, anchor_rounding) for sizes in anchor_sizes]
        self.strides = tuple(strides)
        self.fitted_strides = fitted_strides
        self.sampling = sampling
        self.box_loss_beta = box_loss_beta
        self.box_loss_weight = box_loss_weight

    def forward(self, features: list[Tensor]) -> RpnOutput:
        """One row per anchor, in the order of ``anchors``: level, row, column, shape."""
        logits, deltas = [], []
        for feature in features:
            for conv in self.convs:
                feature = relu(conv(feature))
            logits.append(_per_anchor(self.objectness(feature), self.outputs_per_anchor))
            deltas.append(_per_anchor(self.deltas(feature), 4))
        return RpnOutput(torch.cat(logits, dim=1), torch.cat(deltas, dim=1))

    def anchors(self, features: list[Tensor], batch: ImageBatch) -> Anchors:
        """The anchors of every image of the batch; they share the frame of the padded pixels."""
        grids = [ImageSize(*feature.shape[-2:]) for feature in features]
        strides = [(float(stride), float(stride)) for stride in self.strides]
        if self.fitted_strides:
            strides = fitted_strides(ImageSize(*batch.pixels.shape[-2:]), grids)
        return anchors_of_levels(self.base_anchors, grids, strides, batch.pixels.device)

    def losses(
        self,
        output: RpnOutput,
        anchors: Anchors,
        sizes: Sequence[ImageSize],
        truths: Sequence[GroundTruth],
        seeds: Sequence[int],
    ) -> RpnLosses:
        """Eq. 1 over the sampled anchors of all images; ``seeds``, one per image, decide which are sampled."""
        targets = [rpn_targets(anchors, truth, self.sampling, seed) for truth, seed in zip(truths, seeds, strict=True)]
        logits = torch.cat([each[target.indices] for each, target in zip(output.logits, targets, strict=True)])
        deltas = torch.cat([each[target.indices] for each, target in zip(output.deltas, targets, strict=True)])
        positive = torch.cat([target.positive for target in targets])
        used = torch.cat([target.used for target in targets])
        wanted = torch.cat([target.deltas for target in targets])
        return RpnLosses(
            objectness=objectness_loss(logits, positive, used),
            box=self.box_loss_weight * box_loss(deltas, wanted, positive, used, self.box_loss_beta),
        )

    def propose(
        self, output: RpnOutput, anchors: Anchors, sizes: Sequence[ImageSize], rule: ProposalFilter
    ) -> list[Proposals]:
        """Proposals of each image, best first; cut off from the gradient (approximate joint training, section 3.2)."""
        return [
            select_proposals(logits, deltas, anchors, size, rule)
            for logits, deltas, size in zip(output.logits.detach(), output.deltas.detach(), sizes, strict=True)
        ]


def _per_anchor(output: Tensor, columns: int) -> Tensor:
    """Rows of one anchor each: (B, k * C, H, W) -> (B, H, W, k * C) -> (B, H * W * k, C)."""
    return output.permute(0, 2, 3, 1).reshape(output.shape[0], -1, columns)
