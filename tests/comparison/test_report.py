"""The report of a comparison: its table, its verdict and its page, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from faster_rcnn.benchmark.stages import StageTimes
from faster_rcnn.comparison.report import Circumstances, Comparison, System, write_comparison
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.evaluation.recall import COUNTS, IOUS, ProposalRecall


def made(name: str, proposals_seconds: float, ap50: float | None) -> System:
    values: dict[str, Any] = dict.fromkeys(("ap", "ap75", "ap_small", "ap_medium", "ap_large"), 0.5)
    recalls: dict[str, Any] = dict.fromkeys(("ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"), 0.5)
    metrics = Metrics(**values, **recalls, ap50=ap50, per_class=(), images=1, truths=1, ignored=0, engine="", notes=())
    recall = ProposalRecall(
        images=1,
        truths=1,
        max_proposals=300,
        recall={count: (0.75,) * len(IOUS) for count in COUNTS},
        average={count: {"all": 0.5} for count in COUNTS},
    )
    return System(name, "<runs>", StageTimes(0.01, proposals_seconds, 0.03), 300, recall, metrics)


def comparison(ap50: float | None = 0.9) -> Comparison:
    pair = made("Faster R-CNN", 0.01, ap50), made("Fast R-CNN", 1.2, 0.85)
    how = Circumstances("cpu", "float32", 2, "selective search (fast)", 20, 3)
    return Comparison("data", "test", how, *pair)


def test_the_table_has_times_shares_and_ratios() -> None:
    lines = comparison().table().splitlines()
    assert lines[0].split() == ["Faster", "R-CNN", "Fast", "R-CNN"]
    assert lines[2].split() == ["proposals", "10.0", "ms", "(20.0", "%)", "1200.0", "ms", "(96.8", "%)"]
    assert lines[4].split() == ["total", "50.0", "ms", "1240.0", "ms"]
    assert lines[-2] == "proposals 120 times cheaper, an image 24.8 times faster, AP50 +0.050"
    assert "20 images and 3 rounds" in lines[-1]
    assert "with 2 threads; selective search (fast) works on one thread" in lines[-1]
    assert "no boxes to find, so no AP50" in comparison(None).table()


def test_the_page_shows_the_same_and_escapes_names(tmp_path: Path) -> None:
    page = write_comparison(tmp_path, comparison()).read_text()
    assert "120 <small>times cheaper" in page
    assert "1200.0 ms (96.8 %)" in page
    assert "&lt;runs&gt;" in page
    assert "<runs>" not in page
