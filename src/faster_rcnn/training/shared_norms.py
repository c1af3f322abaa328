"""Batch norm that is trained by several processes: its statistics are those of the images of all of them."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from faster_rcnn.backbone.norm import norms
from faster_rcnn.system.distributed import Processes


def share_norms(model: nn.Module, processes: Processes) -> None:
    """Let every batch norm of ``model`` that is trained use the statistics of all processes.

    On GPUs that is torch's own layer, which runs on no CPU.
    """
    if not processes.are_several:
        return
    on_gpu = next(model.parameters()).is_cuda
    trained = {id(layer) for layer in norms(model) if layer.weight.requires_grad}
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if id(layer) in trained and isinstance(layer, nn.BatchNorm2d):
                shared = nn.SyncBatchNorm.convert_sync_batchnorm(layer) if on_gpu else SharedNorm(layer, processes)
                setattr(parent, name, shared)


class SharedNorm(nn.BatchNorm2d):
    """The layer ``norm``, with the same weights and statistics, whose batch is that of all processes."""

    def __init__(self, norm: nn.BatchNorm2d, processes: Processes) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.train(norm.training)
        self._processes = processes

    def forward(self, input: Float[Tensor, "images channels rows columns"]) -> Tensor:
        """The input with mean 0 and variance 1 over all processes, then scaled and shifted; in inference as usual."""
        if not self.training:
            return super().forward(input)
        values = input.float()
        count = self._sum(values.new_tensor([values.numel() / self.num_features]))  # (1,)
        mean = self._sum(values.sum(dim=(0, 2, 3))) / count  # (channels,)
        centred = values - mean[:, None, None]  # (images, channels, rows, columns)
        variance = self._sum(centred.square().sum(dim=(0, 2, 3))) / count  # (channels,)
        self._follow(mean.detach(), (variance * count / (count - 1).clamp(min=1)).detach())
        scale = self.weight * torch.rsqrt(variance + self.eps)  # (channels,)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the statistics of inference towards those of the batch; the variance is the unbiased one."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        step = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, step)
        self.running_var.lerp_(variance, step)

    def _sum(self, part: Tensor) -> Tensor:
        whole: Tensor = _Sum.apply(part, self._processes)
        return whole


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, processes: Processes) -> Tensor:
        """Add the parts."""
        ctx.processes = processes
        return processes.added(part)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Add the gradients: each process's losses depend on the part of every process."""
        return ctx.processes.added(gradients[0]), None
