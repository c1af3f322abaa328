"""The losses of both stages as values; their terms are computed in ``ops.losses``.

A loss is a sum over sampled references and the number that it is divided by (the normalisers of Eq. 1). Both are kept,
since the number is that of a whole batch, of which a micro-batch and one of several processes hold a part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """One loss of a batch."""

    total: Float[Tensor, ""]
    """Weighted sum over the sampled references."""
    count: Int[Tensor, ""]
    """The number that the sum is divided by; 0 counts as 1."""

    @property
    def mean(self) -> Float[Tensor, ""]:
        """The loss."""
        return self.total / self.count.clamp(min=1)


@dataclass(frozen=True, slots=True, eq=False)
class RpnLosses:
    """The two losses of the first stage."""

    objectness: Term
    box: Term


@dataclass(frozen=True, slots=True, eq=False)
class RoiLosses:
    """The two losses of the second stage."""

    classes: Term
    box: Term


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """The four losses of Faster R-CNN. A detector of one stage has two, the others are ``None``."""

    rpn_objectness: Term | None
    rpn_box: Term | None
    roi_class: Term | None
    roi_box: Term | None

    @classmethod
    def of_stages(cls, rpn: RpnLosses | None, roi: RoiLosses | None) -> Losses:
        """The losses of the stages that there are."""
        first = (None, None) if rpn is None else (rpn.objectness, rpn.box)
        second = (None, None) if roi is None else (roi.classes, roi.box)
        return cls(*first, *second)

    @classmethod
    def weighted(cls, parts: Sequence[tuple[float, Losses]]) -> Losses:
        """The sum of losses, each multiplied by its weight; all parts are of the same stages. Their counts are 1."""
        sums: dict[str, Tensor] = {}
        for weight, losses in parts:
            for name, value in losses.named().items():
                sums[name] = sums.get(name, value.new_zeros(())) + value * weight
        terms = {name: Term(value, torch.ones_like(value, dtype=torch.int64)) for name, value in sums.items()}
        return cls(**{field.name: terms.get(field.name) for field in fields(cls)})

    @property
    def total(self) -> Float[Tensor, ""]:
        """The sum of those that there are; weights are already inside each of them."""
        return torch.stack(list(self.named().values())).sum()

    @property
    def counts(self) -> Int[Tensor, " terms"]:
        """The numbers that the losses are divided by, in the order of the stages."""
        return torch.stack([term.count for term in self._terms().values()])

    def over(self, counts: Int[Tensor, " terms"]) -> Losses:
        """The same sums divided by other numbers, in the order of ``counts``: those of a whole batch."""
        terms = self._terms()
        return replace(self, **{name: Term(terms[name].total, each) for name, each in zip(terms, counts, strict=True)})

    def silenced(self) -> Losses:
        """The same losses with sums and counts of 0, which have a gradient and change nothing."""
        terms = self._terms()
        return replace(self, **{name: Term(term.total * 0, term.count * 0) for name, term in terms.items()})

    def named(self) -> dict[str, Tensor]:
        """Name to scalar of those that there are, in the order of the stages."""
        return {name: term.mean for name, term in self._terms().items()}

    def _terms(self) -> dict[str, Term]:
        terms = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: term for name, term in terms.items() if term is not None}
