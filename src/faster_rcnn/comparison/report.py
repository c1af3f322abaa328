"""The measured times, recall and AP of Faster R-CNN and Fast R-CNN, as a table, as JSON and as a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from faster_rcnn.benchmark.stages import StageTimes
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.evaluation.recall import ProposalRecall
from faster_rcnn.reporting.pages import decimal, render_page, write_page
from faster_rcnn.system.wording import count_of

PAGE = "comparison.html"
STAGES = ("features", "proposals", "regions")
RECALL_AT = 300
"""Number of proposals of an image: that of the paper's detector (section 4)."""


@dataclass(frozen=True, slots=True)
class System:
    """Measurements of one of the two systems."""

    name: str
    model: str
    """Run folder or model file."""
    times: StageTimes
    """Medians over images and rounds."""
    proposals: float
    """Median number of proposals of an image."""
    recall: ProposalRecall
    metrics: Metrics

    def to_json(self, split: str) -> dict[str, Any]:
        """The measurements as JSON; times in seconds."""
        return {
            "name": self.name,
            "model": self.model,
            "seconds": {**asdict(self.times), "total": self.times.total},
            "proposals_per_image": self.proposals,
            "recall": self.recall.to_json(),
            "metrics": self.metrics.to_json(split),
        }


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How both systems were timed."""

    device: str
    precision: str
    threads: int
    """CPU threads of the networks; selective search has one."""
    search: str
    """Method of selective search, with its mode."""
    timed_images: int
    rounds: int

    def __str__(self) -> str:
        images, rounds = count_of(self.timed_images, "image"), count_of(self.rounds, "round")
        threads = count_of(self.threads, "thread")
        return (
            f"Times are medians over {images} and {rounds}, both systems in turn, one image at a time, "
            f"on {self.device} in {self.precision} with {threads}; {self.search} works on one thread, at the image's "
            "own size."
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both systems on the same images of one split, on the same device."""

    data: str
    split: str
    how: Circumstances
    faster: System
    fast: System

    @property
    def proposals_ratio(self) -> float:
        """Time of selective search, as a multiple of the RPN's."""
        return self.fast.times.proposals / self.faster.times.proposals

    @property
    def total_ratio(self) -> float:
        """Time of an image with Fast R-CNN, as a multiple of that with Faster R-CNN."""
        return self.fast.times.total / self.faster.times.total

    def to_json(self) -> dict[str, Any]:
        """Both systems and their ratios, as JSON."""
        return {
            "data": self.data,
            "split": self.split,
            **asdict(self.how),
            "faster_rcnn": self.faster.to_json(self.split),
            "fast_rcnn": self.fast.to_json(self.split),
            "times_cheaper": {"proposals": self.proposals_ratio, "total": self.total_ratio},
        }

    def rows(self) -> list[tuple[str, str, str]]:
        """Labels, and the values of both systems as text."""
        texts: list[tuple[str, Callable[[System], str]]] = [
            *((stage, _time_of(stage)) for stage in STAGES),
            ("total", lambda one: f"{1000 * one.times.total:.1f} ms"),
            ("images per second", lambda one: f"{1 / one.times.total:.1f}"),
            ("proposals of an image", lambda one: f"{one.proposals:,.0f}"),
            (f"recall of {RECALL_AT} proposals, IoU 0.5", lambda one: decimal(one.recall.recall[RECALL_AT][0])),
            (f"recall of {RECALL_AT} proposals, average", lambda one: decimal(one.recall.average[RECALL_AT]["all"])),
            ("AP", lambda one: decimal(one.metrics.ap)),
            ("AP50", lambda one: decimal(one.metrics.ap50)),
        ]
        return [(label, text(self.faster), text(self.fast)) for label, text in texts]

    def verdict(self) -> str:
        """The comparison in one line."""
        line = f"proposals {self.proposals_ratio:.0f} times cheaper, an image {self.total_ratio:.1f} times faster"
        if self.faster.metrics.ap50 is None or self.fast.metrics.ap50 is None:
            return f"{line}; no boxes to find, so no AP50"
        return f"{line}, AP50 {self.faster.metrics.ap50 - self.fast.metrics.ap50:+.3f}"

    def table(self) -> str:
        """The comparison as text for a terminal."""
        rows = [("", self.faster.name, self.fast.name), *self.rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [
            f"{label:<{widths[0]}}  {left:>{widths[1]}}  {right:>{widths[2]}}".rstrip() for label, left, right in rows
        ]
        return "\n".join([*lines, self.verdict(), str(self.how)])


def write_comparison(folder: Path, comparison: Comparison) -> Path:
    """Write the page of a comparison and return where it is; raises ``MachineError`` where that fails."""
    slowest = max(comparison.faster.times.total, comparison.fast.times.total)
    html = render_page(
        "comparison.html.jinja",
        comparison=comparison,
        name=Path(comparison.data).resolve().name,
        stages=STAGES,
        systems=[
            {"name": one.name, "total": 1000 * one.times.total, "bars": _bars(one, slowest), "own": _bars(one)}
            for one in (comparison.faster, comparison.fast)
        ],
    )
    return write_page(folder / PAGE, html)


def _time_of(stage: str) -> Callable[[System], str]:
    def text(one: System) -> str:
        seconds = getattr(one.times, stage)
        return f"{1000 * seconds:.1f} ms ({100 * seconds / one.times.total:.1f} %)"

    return text


def _bars(one: System, whole: float | None = None) -> list[float]:
    """Width of each stage in per cent of ``whole`` seconds, or of the system's own time."""
    return [100 * getattr(one.times, stage) / (whole or one.times.total) for stage in STAGES]
