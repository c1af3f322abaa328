"""Few numbers of the program on the device that computes with them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def constant(values: Any, on: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """A tensor of numbers on a device, made without waiting for a GPU; arguments are those of ``torch.tensor``.

    ``torch.tensor(values, device=...)`` waits until a GPU has done all the work that it was given before. Nothing but
    this copy uses the tensor on the CPU, so that there is nothing to wait for.

    >>> constant([1.0, 2.0], torch.device("cpu"))
    tensor([1., 2.])
    """
    return torch.tensor(values, dtype=dtype, device="cpu").to(on, non_blocking=True)
