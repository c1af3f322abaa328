"""Time of RoIAlign on a CPU: weighted sums of feature rows against torchvision's kernel, with the same result."""

from __future__ import annotations

import torch
from timing import compare
from torch import Tensor
from torchvision.ops import roi_align as torchvision_roi_align

from faster_rcnn.kernels.roi_align_cpu import gather_roi_align

IMAGES, CHANNELS, ROWS, COLUMNS, STRIDE, REGIONS = 4, 128, 52, 72, 8, 1024


def main() -> None:
    torch.manual_seed(0)
    features = torch.randn(IMAGES, CHANNELS, ROWS, COLUMNS).to(memory_format=torch.channels_last)
    corners = torch.rand(REGIONS, 2) * torch.tensor([400.0, 300.0])
    image = torch.randint(0, IMAGES, (REGIONS, 1)).float()
    regions = torch.cat([image, corners, corners + torch.rand(REGIONS, 2) * 120 + 30], dim=1)
    levels = torch.zeros(REGIONS, dtype=torch.int64)

    def ours(values: Tensor) -> Tensor:
        return gather_roi_align([values], regions, levels, strides=(STRIDE,), side=7, sampling_ratio=2)

    def peer(values: Tensor) -> Tensor:
        pooled: Tensor = torchvision_roi_align(values, regions, 7, 1 / STRIDE, 2, aligned=False)
        return pooled

    torch.testing.assert_close(ours(features), peer(features), rtol=1e-3, atol=1e-4)
    compare("forward", lambda: ours(features), lambda: peer(features), rounds=9)
    trained = features.clone(memory_format=torch.channels_last).requires_grad_()
    compare("forward and backward", lambda: ours(trained).sum().backward(), lambda: peer(trained).sum().backward(), 9)


if __name__ == "__main__":
    main()
