"""The RPN head of an optimized model: another module computes it, such as a fused or a quantized graph."""

from __future__ import annotations

from jaxtyping import Int
from torch import Tensor, nn

from faster_rcnn.rpn.head import RpnHead, rows_at
from faster_rcnn.structures import RpnOutput


class ComputedHead(RpnHead):
    """An RPN head that another module computes, which gives the rows of all anchors at once."""

    def __init__(self, computation: nn.Module) -> None:
        """``computation`` takes a list of feature maps and gives an ``RpnOutput``."""
        nn.Module.__init__(self)
        self.computation = computation

    def forward(self, features: list[Tensor]) -> RpnOutput:
        """Compute one row per anchor, as ``RpnHead.forward`` does."""
        output: RpnOutput = self.computation(features)
        return output

    def forward_at(
        self, features: list[Tensor], indices: Int[Tensor, "images sampled"], known: RpnOutput | None = None
    ) -> RpnOutput:
        """Take the rows of some anchors of each image from those of all anchors: ``known`` ones, or new ones."""
        return rows_at(self(features) if known is None else known, indices)
