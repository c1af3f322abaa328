"""The losses of both stages as values; their terms are computed in ``ops.losses``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class RpnLosses:
    """The two losses of the first stage; scalars."""

    objectness: Float[Tensor, ""]
    box: Float[Tensor, ""]


@dataclass(frozen=True, slots=True, eq=False)
class RoiLosses:
    """The two losses of the second stage; scalars."""

    classes: Float[Tensor, ""]
    box: Float[Tensor, ""]


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """The four losses of Faster R-CNN; scalars. A detector of one stage has two, the others are ``None``."""

    rpn_objectness: Float[Tensor, ""] | None
    rpn_box: Float[Tensor, ""] | None
    roi_class: Float[Tensor, ""] | None
    roi_box: Float[Tensor, ""] | None

    @classmethod
    def of_stages(cls, rpn: RpnLosses | None, roi: RoiLosses | None) -> Losses:
        """The losses of the stages that there are."""
        first = (None, None) if rpn is None else (rpn.objectness, rpn.box)
        second = (None, None) if roi is None else (roi.classes, roi.box)
        return cls(*first, *second)

    @classmethod
    def weighted(cls, parts: Sequence[tuple[float, Losses]]) -> Losses:
        """The sum of losses, each multiplied by its weight; all parts are of the same stages."""
        sums: dict[str, Tensor] = {}
        for weight, losses in parts:
            for name, value in losses.named().items():
                sums[name] = sums.get(name, value.new_zeros(())) + value * weight
        return cls(**{field.name: sums.get(field.name) for field in fields(cls)})

    @property
    def total(self) -> Float[Tensor, ""]:
        """The sum of those that there are; weights are already inside each of them."""
        return torch.stack(list(self.named().values())).sum()

    def named(self) -> dict[str, Tensor]:
        """Name to scalar of those that there are, in the order of the stages."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}
