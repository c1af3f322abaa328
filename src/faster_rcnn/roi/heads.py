"""The network of each region: fully connected layers (Fast R-CNN, FPN), or the last stage of a ResNet (C4)."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu


class RegionHead(nn.Module):
    """Compute one vector per region by convolutions, if any, and fully connected layers (fc6, fc7)."""

    def __init__(
        self, channels: int, side: int, convs: Sequence[int], hidden: Sequence[int], dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList()
        for width in convs:
            self.convs.append(_conv_norm(channels, width))
            channels = width
        self.layers = nn.ModuleList()
        inputs = channels * side * side
        for width in hidden:
            self.layers.append(nn.Linear(inputs, width))
            inputs = width
        self.outputs = inputs
        self.dropout = nn.Dropout(dropout)

    def forward(self, pooled: Float[Tensor, "regions channels side side"]) -> Float[Tensor, "regions hidden"]:
        """One vector per region."""
        for conv in self.convs:
            pooled = relu(conv(pooled))
        vectors = pooled.flatten(start_dim=1)
        for layer in self.layers:
            vectors = self.dropout(relu(layer(vectors)))
        return vectors


class StageHead(nn.Module):
    """Compute one vector per region from pooled features: a stage of the body, averaged over its remaining bins.

    Section 3.2 of Faster R-CNN shares all convolutions of VGG16; ResNet's conv5 is run on each region instead (He et
    al., arXiv 1512.03385, appendix A).
    """

    def __init__(self, stage: nn.Module, outputs: int) -> None:
        """``outputs`` is the number of channels of the stage's result."""
        super().__init__()
        self.stage = stage
        self.outputs = outputs

    def forward(self, pooled: Float[Tensor, "regions channels side side"]) -> Float[Tensor, "regions hidden"]:
        """One vector per region."""
        vectors: Tensor = self.stage(pooled).mean(dim=(2, 3))
        return vectors


def _conv_norm(inputs: int, outputs: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))
