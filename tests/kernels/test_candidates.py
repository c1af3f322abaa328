"""Sets of top candidates grow until they hold all, and exist on a CPU only."""

from __future__ import annotations

import torch

from faster_rcnn.kernels.candidates import top_candidates


def sizes(scores: torch.Tensor, max_results: int) -> list[int | None]:
    return [None if mask is None else int(mask.sum()) for mask in top_candidates(scores[None], max_results)]


def test_sets_are_five_and_ten_times_the_results_and_then_all() -> None:
    scores = torch.rand(100, generator=torch.Generator().manual_seed(0))
    assert sizes(scores, 3) == [15, 30, None]
    first, _, _ = top_candidates(scores[None], 3)
    assert first is not None
    assert float(scores[first].min()) > float(scores[~first].max())


def test_few_candidates_are_taken_all_at_once() -> None:
    assert sizes(torch.rand(15), 3) == [None]
    assert sizes(torch.rand(16), 3) == [15, None]
    assert sizes(torch.zeros(0), 3) == [None]


def test_equal_scores_stay_together() -> None:
    # The fifth and the sixth score are equal, so neither is in the first set: NMS would treat them in another order.
    scores = torch.tensor([9.0, 8, 7, 6, 5, 5, 4, 3, 2, 1, 0])
    assert sizes(scores, 1) == [4, 10, None]


def test_a_gpu_considers_all_candidates() -> None:
    """Counting survivors would make it wait."""
    assert sizes(torch.rand(100, device="meta"), 1) == [None]


def test_several_images_have_all_candidates() -> None:
    assert list(top_candidates(torch.rand(2, 100), 1)) == [None]
