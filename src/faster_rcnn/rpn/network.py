"""Section 3.1: the region proposal network predicts objectness and deltas for k anchors at every position.

The twin of ``roi/network.py``: a small network scores reference boxes and moves them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from faster_rcnn.losses import RpnLosses
from faster_rcnn.ops.losses import BoxLoss, box_loss, objectness_loss
from faster_rcnn.rpn.anchors import AnchorGenerator
from faster_rcnn.rpn.head import RpnHead
from faster_rcnn.rpn.proposals import ProposalFilter, select_of_images
from faster_rcnn.rpn.targets import AnchorSampling, rpn_targets
from faster_rcnn.structures import Anchors, GroundTruth, ImageSize, Proposals, RpnOutput


class RegionProposalNetwork(nn.Module):
    """First stage: from features to objectness and deltas of every anchor, to losses, to proposals."""

    def __init__(
        self,
        head: RpnHead,
        anchors: AnchorGenerator,
        sampling: AnchorSampling,
        loss: BoxLoss,
        *,
        loss_per_position: bool = False,
    ) -> None:
        """``loss_per_position`` divides the box loss by the number of positions, as the paper does (3.1.2)."""
        super().__init__()
        self.head = head
        self.anchors = anchors
        self.sampling = sampling
        self.loss = loss
        self.loss_per_position = loss_per_position

    def forward(self, features: list[Tensor]) -> RpnOutput:
        """Compute one row per anchor, in the order of the anchors."""
        output: RpnOutput = self.head(features)
        return output

    def losses(
        self,
        features: list[Tensor],
        anchors: Anchors,
        sizes: Sequence[ImageSize],
        truths: Sequence[GroundTruth],
        seeds: Sequence[int],
        known: RpnOutput | None = None,
    ) -> RpnLosses:
        """Compute Eq. 1 over the sampled anchors of all images; ``seeds``, one per image, decide which are sampled.

        The head runs at the sampled anchors only: the loss has no gradient at any other anchor. A caller who has the
        output of ``forward`` passes it as ``known``, for heads that can only compute all anchors.
        """
        targets = [
            rpn_targets(anchors, truth, self.sampling, seed, size)
            for size, truth, seed in zip(sizes, truths, seeds, strict=True)
        ]
        output = self.head.forward_at(features, torch.stack([target.indices for target in targets]), known)
        logits, deltas = output.logits.flatten(0, 1), output.deltas.flatten(0, 1)  # (B * S, outputs), (B * S, 4)
        positive = torch.cat([target.positive for target in targets])  # (B * S,)
        used = torch.cat([target.used for target in targets])  # (B * S,)
        true_deltas = torch.cat([target.deltas for target in targets])  # (B * S, 4)
        references = torch.cat([anchors.boxes[target.indices] for target in targets])  # (B * S, 4)
        # N_reg of Eq. 1 where it is the paper's: the positions of the anchors, of all images of the batch.
        positions = len(targets) * self.anchors.positions(anchors) if self.loss_per_position else None
        return RpnLosses(
            objectness=objectness_loss(logits, positive, used),
            box=box_loss(deltas, true_deltas, references, positive, used, self.loss, positions),
        )

    @torch.no_grad()
    def propose(
        self, features: list[Tensor], anchors: Anchors, sizes: Sequence[ImageSize], rule: ProposalFilter
    ) -> list[Proposals]:
        """Proposals of each image, best first; cut off from the gradient (approximate joint training, section 3.2)."""
        return self.select(self(features), anchors, sizes, rule)

    def select(
        self, output: RpnOutput, anchors: Anchors, sizes: Sequence[ImageSize], rule: ProposalFilter
    ) -> list[Proposals]:
        """Proposals of each image from the output of ``forward``, as ``propose`` gives them."""
        return select_of_images(output.logits, output.deltas, anchors, sizes, rule)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The tensors of the head under names without ``head.``, as model files have them."""
        return self.head.state_dict(*args, **kwargs)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        for name in [name for name in state_dict if name.startswith(prefix)]:
            state_dict[f"{prefix}head.{name.removeprefix(prefix)}"] = state_dict.pop(name)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def first_stage(rpn: RegionProposalNetwork | None) -> RegionProposalNetwork:
    """The first stage of a detector that must have one; raises ``ValueError`` for Fast R-CNN, which has none."""
    if rpn is None:
        raise ValueError("Fast R-CNN has no first stage: it needs external proposals")
    return rpn
