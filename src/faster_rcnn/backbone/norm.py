"""Frozen batch norm: the statistics and the affine part of a pretrained body do not change in training.

A detector's batches are small, so that the statistics of a batch would be noise (torchvision and Detectron2 freeze
them, too).
"""

from __future__ import annotations

from torch import nn


def set_norm_epsilon(module: nn.Module, epsilon: float) -> None:
    """Set the number added to the variance in every batch norm below ``module``."""
    for layer in norms(module):
        layer.eps = epsilon


def norms(module: nn.Module) -> list[nn.BatchNorm2d | nn.SyncBatchNorm]:
    """Every batch norm below ``module``."""
    return [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d | nn.SyncBatchNorm)]


def learns_norms(module: nn.Module) -> bool:
    """Whether some batch norm below ``module`` is trained, on the statistics of each batch."""
    return any(layer.weight.requires_grad for layer in norms(module))


def freeze_norms(module: nn.Module) -> None:
    """Freeze statistics and affine part of every batch norm below ``module``, until ``train()`` is called."""
    for layer in norms(module):
        layer.eval().requires_grad_(False)
