"""Section 3.1: the region proposal network slides over the features and speaks about k anchors at every position.

The twin of ``roi/network.py``: a small network scores reference boxes and moves them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn.functional import relu

from faster_rcnn.kernels.conv3x3 import Padding, conv3x3
from faster_rcnn.kernels.conv3x3_at import conv3x3_of, neighbourhoods
from faster_rcnn.ops.losses import BoxLoss, box_loss, objectness_loss
from faster_rcnn.rpn.anchors import anchors_of_levels, base_anchors, fitted_strides
from faster_rcnn.rpn.proposals import ProposalFilter, select_proposals
from faster_rcnn.rpn.targets import AnchorSampling, rpn_targets
from faster_rcnn.structures import (
    Anchors,
    GroundTruth,
    ImageBatch,
    ImageSize,
    Proposals,
    RpnLosses,
    RpnOutput,
    RpnTargets,
)


class RegionProposalNetwork(nn.Module):
    """First stage: from features to an object score and a transform for every anchor, to losses, to proposals."""

    def __init__(
        self,
        channels: int,
        *,
        head: Literal["siblings", "joined", "branches"] = "siblings",
        hidden: int,
        convs: int,
        padding: Padding = "zeros",
        outputs_per_anchor: int,
        anchor_sizes: Sequence[Sequence[float]],
        heights_over_widths: Sequence[Sequence[float]],
        anchor_rounding: bool,
        anchor_offset: float = 0.0,
        strides: Sequence[int],
        fitted_strides: bool,
        sampling: AnchorSampling,
        loss: BoxLoss,
        loss_per_position: bool = False,
    ) -> None:
        """Anchor sizes and ratios are those of each level; ``hidden`` is the width of the 3x3 convolutions."""
        super().__init__()
        per_position = len(anchor_sizes[0]) * len(heights_over_widths[0])
        self.split = (per_position * outputs_per_anchor, per_position * 4)
        self.padding = padding
        self.convs = _tower(channels, hidden, convs, padding)
        self.delta_convs = _tower(channels, hidden, convs, padding) if head == "branches" else None
        self.joined = nn.Conv2d(hidden, sum(self.split), 1) if head == "joined" else None
        if self.joined is None:
            self.objectness, self.deltas = (nn.Conv2d(hidden, outputs, 1) for outputs in self.split)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.normal_(layer.weight, std=0.01)  # section 3.1.3
                nn.init.zeros_(layer.bias)
        self.outputs_per_anchor = outputs_per_anchor
        self.base_anchors = [
            base_anchors(sizes, ratios, anchor_rounding)
            for sizes, ratios in zip(anchor_sizes, heights_over_widths, strict=True)
        ]
        self._last_anchors: tuple[object, Anchors] | None = None
        """What they were made for, and the anchors."""
        self.anchor_offset = anchor_offset
        self.strides = tuple(strides)
        self.fitted_strides = fitted_strides
        self.sampling = sampling
        self.loss = loss
        self.loss_per_position = loss_per_position

    def forward(self, features: list[Tensor]) -> RpnOutput:
        """One row per anchor, in the order of ``anchors``: level, row, column, shape."""
        logits, deltas = [], []
        for feature in features:
            objectness, transforms = self._slide(feature)
            logits.append(_per_anchor(objectness, self.outputs_per_anchor))
            deltas.append(_per_anchor(transforms, 4))
        return RpnOutput(torch.cat(logits, dim=1), torch.cat(deltas, dim=1))

    def _slide(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Channels of objectness and of the transforms at every position of one level."""
        seen = _through(self.convs, feature)
        return self._said(seen, seen if self.delta_convs is None else _through(self.delta_convs, feature))

    def _said(self, seen: Tensor, of_transforms: Tensor) -> tuple[Tensor, Tensor]:
        if self.joined is None:
            return self.objectness(seen), self.deltas(of_transforms)
        objectness, transforms = self.joined(seen).split(self.split, dim=1)
        return objectness, transforms

    def at(self, features: list[Tensor], indices: Int[Tensor, "images sampled"]) -> tuple[Tensor, Tensor]:
        """What ``forward`` says about some anchors of each image: their logits and deltas, one image after the other.

        The last 3x3 convolution looks at their positions alone. A loss over 256 anchors has no gradient anywhere else,
        and to work out zeros for all the other positions would be a quarter of a training step.
        """
        shapes = self.split[1] // 4
        seen = self._look_at(self.convs, features, indices // shapes)
        of_transforms = seen
        if self.delta_convs is not None:
            of_transforms = self._look_at(self.delta_convs, features, indices // shapes)
        objectness, transforms = self._said(seen, of_transforms)
        one = torch.arange(indices.numel(), device=indices.device), (indices % shapes).flatten()
        return _per_anchor(objectness, self.outputs_per_anchor)[one], _per_anchor(transforms, 4)[one]

    def _look_at(self, convs: nn.ModuleList, features: list[Tensor], positions: Tensor) -> Tensor:
        reached = [_through(convs[:-1], feature) for feature in features]
        rows = neighbourhoods(reached, positions, self.padding)
        weight, bias = convs[-1].parameters()
        return relu(conv3x3_of(rows, weight, bias))

    def anchors(self, features: list[Tensor], batch: ImageBatch) -> Anchors:
        """The anchors of every image of the batch; they share the frame of the padded pixels.

        Those of the last size are kept, and given again; nobody changes them.
        """
        grids = tuple(ImageSize(*feature.shape[-2:]) for feature in features)
        size, device = ImageSize(*batch.pixels.shape[-2:]), batch.pixels.device
        last = self._last_anchors  # looked at once: another thread may put others there
        if last is None or last[0] != (grids, size, device):
            # Not as a tensor of inference mode, which training could not use.
            with torch.inference_mode(False):
                self._last_anchors = last = (grids, size, device), self._made_anchors(grids, size, device)
        return last[1]

    def _made_anchors(self, grids: Sequence[ImageSize], size: ImageSize, device: torch.device) -> Anchors:
        strides = [(float(stride), float(stride)) for stride in self.strides]
        if self.fitted_strides:
            strides = fitted_strides(size, grids)
        return anchors_of_levels(self.base_anchors, grids, strides, device, self.anchor_offset)

    def losses(
        self,
        output: RpnOutput,
        anchors: Anchors,
        sizes: Sequence[ImageSize],
        truths: Sequence[GroundTruth],
        seeds: Sequence[int],
    ) -> RpnLosses:
        """Eq. 1 over the sampled anchors of all images; ``seeds``, one per image, decide which are sampled."""
        targets = self._targets(anchors, sizes, truths, seeds)
        logits = torch.cat([each[target.indices] for each, target in zip(output.logits, targets, strict=True)])
        deltas = torch.cat([each[target.indices] for each, target in zip(output.deltas, targets, strict=True)])
        return self._equation_1(logits, deltas, anchors, targets)

    def losses_at_samples(
        self,
        features: list[Tensor],
        anchors: Anchors,
        sizes: Sequence[ImageSize],
        truths: Sequence[GroundTruth],
        seeds: Sequence[int],
    ) -> RpnLosses:
        """The ``losses`` of what ``forward`` says about ``features``, which is only said about the sampled anchors."""
        targets = self._targets(anchors, sizes, truths, seeds)
        logits, deltas = self.at(features, torch.stack([target.indices for target in targets]))
        return self._equation_1(logits, deltas, anchors, targets)

    def _targets(
        self, anchors: Anchors, sizes: Sequence[ImageSize], truths: Sequence[GroundTruth], seeds: Sequence[int]
    ) -> list[RpnTargets]:
        return [
            rpn_targets(anchors, truth, self.sampling, seed, size)
            for size, truth, seed in zip(sizes, truths, seeds, strict=True)
        ]

    def _equation_1(self, logits: Tensor, deltas: Tensor, anchors: Anchors, targets: list[RpnTargets]) -> RpnLosses:
        positive = torch.cat([target.positive for target in targets])
        used = torch.cat([target.used for target in targets])
        wanted = torch.cat([target.deltas for target in targets])
        references = torch.cat([anchors.boxes[target.indices] for target in targets])
        positions = self._positions(anchors, len(targets))
        return RpnLosses(
            objectness=objectness_loss(logits, positive, used),
            box=box_loss(deltas, wanted, references, positive, used, self.loss, positions),
        )

    def _positions(self, anchors: Anchors, images: int) -> int | None:
        """N_reg of Eq. 1 where it is the paper's: positions of anchors, of all images of the batch."""
        if not self.loss_per_position:
            return None
        shapes = (len(base) for base in self.base_anchors)
        return images * sum(count // k for count, k in zip(anchors.per_level, shapes, strict=True))

    def propose(
        self, output: RpnOutput, anchors: Anchors, sizes: Sequence[ImageSize], rule: ProposalFilter
    ) -> list[Proposals]:
        """Proposals of each image, best first; cut off from the gradient (approximate joint training, section 3.2)."""
        return [
            select_proposals(logits, deltas, anchors, size, rule)
            for logits, deltas, size in zip(output.logits.detach(), output.deltas.detach(), sizes, strict=True)
        ]


def _tower(inputs: int, hidden: int, convs: int, padding: Padding) -> nn.ModuleList:
    return nn.ModuleList(conv3x3(inputs if index == 0 else hidden, hidden, padding) for index in range(convs))


def _through(convs: nn.ModuleList, feature: Tensor) -> Tensor:
    for conv in convs:
        feature = relu(conv(feature))
    return feature


def _per_anchor(output: Tensor, columns: int) -> Tensor:
    """Rows of one anchor each: (B, k * C, H, W) -> (B, H, W, k * C) -> (B, H * W * k, C)."""
    return output.permute(0, 2, 3, 1).reshape(output.shape[0], -1, columns)
