"""Batch norm that stays as it is: statistics and affine part of a pretrained body, frozen.

Batches of a detector are small, so that statistics of a batch would be noise (FRCNN's successors all freeze them).
"""

from __future__ import annotations

from torch import nn


def set_norm_epsilon(module: nn.Module, epsilon: float) -> None:
    """Set the number added to the variance in every batch norm below ``module``."""
    for layer in norms(module):
        layer.eps = epsilon


def norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    """Every batch norm below ``module``."""
    return [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]


def freeze_norms(module: nn.Module) -> None:
    """Keep statistics and affine part of every batch norm below ``module`` as they are, until ``train()``."""
    for layer in norms(module):
        layer.eval().requires_grad_(False)
