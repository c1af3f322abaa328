"""Section 3.1, Figure 3: the small network that slides over the features, as a module of its own.

The twin of ``roi/heads.py``. It predicts the objectness and the deltas of k anchors at every position.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import relu

from faster_rcnn.kernels.conv3x3 import conv3x3
from faster_rcnn.kernels.conv3x3_at import conv3x3_at
from faster_rcnn.structures import RpnOutput


class RpnHead(nn.Module):
    """3x3 convolutions, then two sibling 1x1 convolutions: one for the objectness, one for the deltas."""

    def __init__(
        self,
        channels: int,
        *,
        hidden: int,
        convs: int,
        anchors_per_position: int,
        outputs_per_anchor: int,
        skipped: int = 0,
    ) -> None:
        """``channels`` are those of the features, ``hidden`` those of the ``convs`` 3x3 convolutions.

        ``outputs_per_anchor`` is 1 for a logit or 2 for a softmax of no object and object. ``skipped`` is the number of
        the finest feature maps, which have no anchors.
        """
        super().__init__()
        self.convs = nn.ModuleList(conv3x3(channels if index == 0 else hidden, hidden) for index in range(convs))
        self.objectness = nn.Conv2d(hidden, anchors_per_position * outputs_per_anchor, 1)
        self.deltas = nn.Conv2d(hidden, anchors_per_position * 4, 1)
        self.anchors_per_position = anchors_per_position
        self.outputs_per_anchor = outputs_per_anchor
        self.skipped = skipped
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.normal_(layer.weight, std=0.01)  # section 3.1.3
                nn.init.zeros_(layer.bias)

    def forward(self, features: list[Tensor]) -> RpnOutput:
        """Compute one row per anchor from maps (B, C, H, W), in the order of the anchors: level, row, column, shape."""
        logits, deltas = [], []
        for feature in features[self.skipped :]:
            hidden = _convolved(self.convs, feature)  # (B, hidden, H, W)
            objectness, transforms = self.objectness(hidden), self.deltas(hidden)  # (B, k * outputs or k * 4, H, W)
            logits.append(_per_anchor(objectness, self.outputs_per_anchor))  # (B, H * W * k, outputs)
            deltas.append(_per_anchor(transforms, 4))  # (B, H * W * k, 4)
        return RpnOutput(torch.cat(logits, dim=1), torch.cat(deltas, dim=1))

    def forward_at(
        self, features: list[Tensor], indices: Int[Tensor, "images sampled"], known: RpnOutput | None = None
    ) -> RpnOutput:
        """Compute the rows of ``forward`` for some anchors of each image only.

        The last 3x3 convolution runs at the positions of these anchors. A loss over 256 anchors has no gradient
        anywhere else, and to compute zeros for all other positions would be a quarter of a training step. ``known`` is
        the output of ``forward`` where the caller has it. This head does not read it, so that losses have the same last
        bits with and without it; a head that can only compute all rows takes them from there.
        """
        position, shape = indices // self.anchors_per_position, indices % self.anchors_per_position  # (B, S) both
        maps = [_convolved(self.convs[:-1], feature) for feature in features[self.skipped :]]  # each (B, C, H, W)
        weight, bias = self.convs[-1].parameters()
        hidden = relu(conv3x3_at(maps, position, weight, bias))  # (B * S, hidden, 1, 1)
        logits = _per_anchor(self.objectness(hidden), self.outputs_per_anchor)  # (B * S, k, outputs)
        deltas = _per_anchor(self.deltas(hidden), 4)  # (B * S, k, 4)
        own = torch.arange(indices.numel(), device=indices.device), shape.flatten()  # row and column of each anchor
        return RpnOutput(logits[own].unflatten(0, indices.shape), deltas[own].unflatten(0, indices.shape))


def rows_at(output: RpnOutput, indices: Int[Tensor, "images sampled"]) -> RpnOutput:
    """The rows of some anchors of each image, from an output for all anchors; the plain form of ``forward_at``."""
    images = torch.arange(len(indices), device=indices.device)[:, None]  # (B, 1)
    return RpnOutput(output.logits[images, indices], output.deltas[images, indices])  # (B, S, ...)


def _convolved(convs: nn.ModuleList, feature: Tensor) -> Tensor:
    for conv in convs:
        feature = relu(conv(feature))
    return feature


def _per_anchor(output: Tensor, columns: int) -> Float[Tensor, "images anchors columns"]:
    """Rows of one anchor each: (B, k * C, H, W) -> (B, H, W, k * C) -> (B, H * W * k, C)."""
    return output.permute(0, 2, 3, 1).reshape(output.shape[0], -1, columns)
