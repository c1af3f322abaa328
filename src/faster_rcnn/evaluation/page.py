"""``report.html`` of ``evaluate --out``: one page that needs no other file."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.evaluation.bootstrap import METRICS
from faster_rcnn.evaluation.figures import page_values
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.reporting.pages import render_page, write_page

REPORT = "report.html"


def write_evaluation(folder: Path, metrics: Metrics, split: str, model: str, data: str) -> Path:
    """Write the page into a folder, which is made, and return where it is; raises ``MachineError``."""
    folder.mkdir(parents=True, exist_ok=True)
    return write_page(folder / REPORT, render(metrics, split, model, data))


def render(metrics: Metrics, split: str, model: str, data: str) -> str:
    """The HTML of the page; every text in it is escaped."""
    values = metrics.to_json(split)
    headline = {name: values[name] for name in METRICS}
    return render_page(
        "evaluation.html.jinja",
        metrics=metrics,
        split=split,
        model=model,
        data=data,
        headline=headline,
        **page_values(metrics),
    )
