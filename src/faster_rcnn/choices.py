"""Values to choose from, each list defined once: settings, options of commands and functions share them.

No import of torch here, so that ``--help`` answers at once.
"""

from __future__ import annotations

from typing import Literal

Precision = Literal["auto", "float32", "bfloat16", "int8"]
"""Type of convolutions and matrix products in inference; ``auto`` follows from the processor."""
TrainingPrecision = Literal["auto", "float32", "bfloat16"]
"""Type of convolutions and matrix products in training."""
OptimizerName = Literal["sgd", "adamw"]
"""The rule by which gradients move the weights."""
BoxLossKind = Literal["smooth_l1", "l1", "giou", "ciou"]
"""Loss of boxes: of deltas (Fast R-CNN, Eq. 3), or of the boxes themselves."""
ResizeMethod = Literal["antialias", "plain"]
"""Resizing with an average over all source pixels, or torchvision's bilinear samples."""
SizeRounding = Literal["down", "nearest"]
"""Rounding of the sides of a resized image."""
PoolingMethod = Literal["align", "aligned-align", "pool"]
"""RoIAlign (Mask R-CNN), the same half a feature up and left (Detectron2), or RoI pooling (Fast R-CNN)."""
SearchMode = Literal["fast", "quality"]
"""Selective search: fewer or more proposals."""
