"""How many of the best candidates non-maximum suppression has to consider before the rest cannot matter.

NMS decides each box by higher-scoring boxes only. If enough boxes survive among the top candidates, every survivor
among the remaining candidates scores lower, so they need not be decoded at all. On a CPU that saves most of the work of
proposal selection. A GPU would have to be waited for to count the survivors, and considers all candidates at once.
"""

from __future__ import annotations

from collections.abc import Iterator

from jaxtyping import Bool, Float
from torch import Tensor

from faster_rcnn.kernels import together

CANDIDATES_PER_RESULT = (5, 10)
"""Sizes of the sets of top candidates that are tried before all of them, in multiples of the results wanted."""


def top_candidates(
    scores: Float[Tensor, "images candidates"], max_results: int
) -> Iterator[Bool[Tensor, " candidates"] | None]:
    """Masks of growing sets of the top-scoring candidates; the last one is ``None``, which stands for all of them.

    A caller stops at the first set of which ``max_results`` boxes survive NMS: the same boxes survive of all
    candidates. Candidates whose scores equal that of the first one left out are left out, too. Images that are computed
    together have all candidates only.
    """
    if len(scores) == 1 and not together.computed_together(scores):
        ranked = scores[0].sort(descending=True).values  # (candidates,)
        for share in CANDIDATES_PER_RESULT:
            if share * max_results >= len(ranked):
                break
            yield scores[0] > ranked[share * max_results]
    yield None
