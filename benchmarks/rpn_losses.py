"""The first stage's losses and their gradient: at the sampled anchors only, against over whole maps; equal losses.

Both ways compute the output for every anchor, which proposals need. The plain way keeps all of it for the gradient. Our
way computes it without gradient, and computes the 256 sampled anchors of each image once more with gradient.
"""

from __future__ import annotations

from copy import deepcopy
from functools import partial

import torch
from timing import compare, machine
from torch import Tensor

from faster_rcnn.building import build_model
from faster_rcnn.rpn.head import RpnHead, rows_at
from faster_rcnn.rpn.network import RegionProposalNetwork
from faster_rcnn.settings.resolve import resolve_config
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import GroundTruth, ImageBatch, ImageSize, RpnOutput
from faster_rcnn.system.devices import choose_precision, computing_in
from faster_rcnn.system.memory import keep_freed_memory

CPU = torch.device("cpu")
WORK = (("small", 4, ImageSize(416, 576)), ("base", 1, ImageSize(800, 1088)))
"""Preset, images of a batch, and their size after padding."""
TRUTHS = 12


def features_of(config: Config, images: int, size: ImageSize, rpn: RegionProposalNetwork) -> list[Tensor]:
    sides = [(-(-size.height // stride), -(-size.width // stride)) for stride in rpn.anchors.strides]
    shapes = [(images, config.backbone.pyramid_channels, *side) for side in sides]
    precision = choose_precision("auto", CPU)
    maps = [torch.randn(shape).to(precision).to(memory_format=torch.channels_last) for shape in shapes]
    return [each.requires_grad_() for each in maps]


def truths_of(images: int, size: ImageSize) -> list[GroundTruth]:
    corners = torch.rand(images, TRUTHS, 2) * 0.7 * torch.tensor([size.width, size.height])
    boxes = torch.cat([corners, corners + 0.2 * size.height], dim=2)
    nothing = torch.zeros(TRUTHS, dtype=torch.long)
    return [GroundTruth(each, nothing, nothing.bool()) for each in boxes]


class DenseHead(RpnHead):
    """A head that computes every anchor of the map before it takes the rows of the sampled ones."""

    def forward_at(self, features: list[Tensor], indices: Tensor, known: RpnOutput | None = None) -> RpnOutput:
        """The plain form of the method that it replaces."""
        return rows_at(self(features), indices)


def dense(rpn: RegionProposalNetwork) -> RegionProposalNetwork:
    """The same network, with the same weights, whose losses take their rows from the output for every anchor."""
    other = deepcopy(rpn)
    other.head.__class__ = DenseHead
    return other


def step(
    rpn: RegionProposalNetwork, features: list[Tensor], batch: ImageBatch, truths: list[GroundTruth], *, whole: bool
) -> None:
    given = rpn.anchors(features, batch), batch.sizes, truths, range(len(truths))
    with computing_in(choose_precision("auto", CPU), CPU):
        if not whole:
            with torch.no_grad():
                rpn(features)
        losses = rpn.losses(features, *given)
    (losses.objectness.mean + losses.box.mean).backward()


def main() -> None:
    print(machine())
    keep_freed_memory()
    for preset, images, size in WORK:
        config = resolve_config(preset, None, (), {})
        rpn = build_model(config, 3).rpn.to(memory_format=torch.channels_last)
        batch = ImageBatch(torch.zeros(images, 3, *size), (size,) * images)
        features, truths = features_of(config, images, size, rpn), truths_of(images, size)
        ours, peer = (
            partial(step, network, features, batch, truths, whole=whole)
            for network, whole in ((rpn, False), (dense(rpn), True))
        )
        compare(f"{preset}, {images} x {size.height} x {size.width}", ours, peer, rounds=5)


if __name__ == "__main__":
    main()
