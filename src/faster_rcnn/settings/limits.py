"""Limits of settings, far beyond any sensible detector.

Without them a small file of settings or a small model file could demand more memory or time than a machine has, and a
number could become 0 or infinite in float32.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

MAX_CLASSES = 100_000
"""Maximum number of classes in a model file; the largest published data sets have some 13,000."""

MAX_LEVELS, MAX_SHAPES, MAX_LAYERS = 16, 64, 64
"""Maximum numbers of feature maps, of anchor sizes or ratios at one level, and of consecutive layers."""


def _architecture(name: str) -> str:
    """Raise ``ValueError`` for a name with an address, like timm's ``hf-hub:owner/name`` or ``local-dir:/folder``."""
    if not re.fullmatch(r"(torchvision:)?[A-Za-z0-9_.-]+", name):
        raise ValueError(
            f"'{name:.80}' is no name of an architecture, such as resnet50 or torchvision:mobilenet_v3_large; nothing "
            "is read from a hub or a folder"
        )
    return name


Architecture = Annotated[str, AfterValidator(_architecture)]
Channels = Annotated[int, Field(gt=0, le=16_384)]
Pixels = Annotated[float, Field(ge=1e-3, le=1e6)]
Ratio = Annotated[float, Field(ge=1e-3, le=1e3)]
Shift = Annotated[float, Field(ge=-1e6, le=1e6)]
Factor = Annotated[float, Field(ge=1e-6, le=1e6)]
