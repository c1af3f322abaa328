"""The measured times of a detector's stages, as a table, as JSON and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

from faster_rcnn.benchmark.live import Live
from faster_rcnn.benchmark.roofline import Roofline
from faster_rcnn.benchmark.stages import ImageTimes
from faster_rcnn.benchmark.target import Target
from faster_rcnn.benchmark.values import BenchmarkSetup, Contender, Machine, Spread
from faster_rcnn.reporting.pages import render_page, write_page
from faster_rcnn.system.terminal import printable

PAGE = "benchmark.html"
STAGES = tuple(each.name for each in fields(ImageTimes))
GROUPS = {
    "image": ("decode", "resize"),
    "features": ("body", "neck"),
    "first stage": ("rpn_head", "proposals"),
    "second stage": ("roi_pooling", "region_head", "post_processing"),
}
"""Stages that share a colour on the page."""
WORDS = {"rpn_head": "RPN head", "roi_pooling": "RoI pooling", "post_processing": "post-processing"}
"""Names of stages that differ from the field's name with spaces."""
COLUMNS = ("stage", "median", "10th to 90th percentile", "share")


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One detector on one machine."""

    setup: BenchmarkSetup
    machine: Machine
    times: tuple[ImageTimes, ...]
    """Times of every image in every round."""
    latency: Spread
    """Seconds from file to boxes of one image after the other, by the call that users make."""
    stream: tuple[float, ...]
    """Images per second of each round, one image being decoded while another is computed."""
    roofline: Roofline
    memory: int
    """Peak memory of the process in bytes, without the peers that it is compared with."""
    layout: str | None
    """torchvision's detector that the peers are, if there are some."""
    contenders: tuple[Contender, ...]
    """Our detector, and those that it is compared with; empty without a comparison."""
    target: Target | None = None
    """The search for settings below a time limit, where one was given."""
    live: Live | None = None
    """A live stream, where one was played."""

    @property
    def total(self) -> Spread:
        """Seconds of all stages together."""
        return Spread.of([each.total for each in self.times])

    @property
    def dense(self) -> Spread:
        """Seconds of the parts that the roofline bounds: body, neck and RPN head."""
        return Spread.of([each.dense for each in self.times])

    @property
    def roofline_ratio(self) -> float:
        """The time of these parts, as a multiple of their lower bound."""
        return self.dense.median / self.roofline.seconds

    def stages(self) -> dict[str, Spread]:
        """Seconds of each stage, in the order of the work."""
        return {name: Spread.of([getattr(each, name) for each in self.times]) for name in STAGES}

    def shares(self) -> dict[str, float]:
        """The median of each stage as a share of the sum of all medians."""
        medians = {name: each.median for name, each in self.stages().items()}
        return {name: each / sum(medians.values()) for name, each in medians.items()}

    def to_json(self) -> dict[str, Any]:
        """Everything measured; times in seconds, memory in bytes."""
        shares = self.shares()
        stages = {name: {**each.to_json(), "share": shares[name]} for name, each in self.stages().items()}
        roofline = self.roofline
        return {
            **asdict(self.setup),
            "machine": {**asdict(self.machine), "amx": self.machine.amx},
            "seconds": {"stages": stages, "total": self.total.to_json(), "one_at_a_time": self.latency.to_json()},
            "images_per_second": {
                "one_at_a_time": 1 / self.latency.median,
                "stream": median(self.stream),
                "stream_of_rounds": self.stream,
            },
            "floor": {
                "operations": roofline.operations,
                "operations_per_second": roofline.rate,
                "seconds": roofline.seconds,
                "measured": self.dense.to_json(),
                "ratio": self.roofline_ratio,
                "convolutions": [{**asdict(conv), "operations_per_second": rate} for conv, rate in roofline.rates],
            },
            "peak_memory": self.memory,
            "layout": self.layout,
            "compared": [each.to_json() for each in self.contenders],
            "target": None if self.target is None else self.target.to_json(),
            "live": None if self.live is None else self.live.to_json(),
        }

    def rows(self) -> list[tuple[str, str, str, str]]:
        """A line of text for each stage, under ``COLUMNS``, and one for all of them."""
        shares = self.shares()
        of_stages = [
            (words(name), each.middle, each.range, f"{100 * shares[name]:.1f} %")
            for name, each in self.stages().items()
        ]
        return [*of_stages, ("total", self.total.middle, self.total.range, "")]

    def facts(self) -> list[tuple[str, str]]:
        """Labels and texts of everything beside the stages."""
        roofline = self.roofline
        facts = [
            (
                "one at a time",
                f"{1 / self.latency.median:.3g} images per second, file to boxes: {self.latency}",
            ),
            ("as a stream", f"{median(self.stream):.3g} images per second, the next image being decoded meanwhile"),
            (
                "lower bound",
                f"{1000 * roofline.seconds:.1f} ms: the {roofline.operations / 1e9:.2f} GFLOP of body, neck and RPN "
                f"head at {roofline.rate / 1e9:.0f} GFLOP/s, the best rate of their {len(roofline.rates)} largest "
                "convolutions, each alone",
            ),
            ("measured", f"these three take {self.dense}, {self.roofline_ratio:.1f} times the lower bound"),
            ("memory", f"{self.memory / 1e6:,.0f} MB at most, the whole process"),
            ("model", self.setup.model_text),
            ("images", self.setup.images_text),
            ("machine", str(self.machine)),
        ]
        if self.layout is not None:
            facts.append(("compared with", f"{self.layout} with the same weights, and its export in other runtimes"))
        facts += [(each.name, each.beside(self.contenders[0])) for each in self.contenders[1:]]
        further = [each.facts() for each in (self.live, self.target) if each is not None]
        return [*facts, *chain.from_iterable(further)]

    def table(self) -> str:
        """The stages and facts as text for a terminal."""
        rows = [COLUMNS, *self.rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
        facts = [(printable(name), printable(text)) for name, text in self.facts()]
        width = max(len(name) for name, _ in facts)
        lines = [_aligned(row, widths) for row in rows]
        return "\n".join([*lines, "", *(f"{name:<{width}}  {text}" for name, text in facts)])


def write_benchmark(folder: Path, benchmark: Benchmark) -> Path:
    """Write the page of a benchmark and return where it is; raises ``MachineError`` where that fails."""
    html = render_page(
        "benchmark.html.jinja",
        benchmark=benchmark,
        name=Path(benchmark.setup.model).name,
        columns=COLUMNS,
        bars=_bars(benchmark),
        total=1000 * benchmark.total.median,
        latency=1 / benchmark.latency.median,
        stream=median(benchmark.stream),
        slowest=max((each.seconds.median for each in benchmark.contenders), default=0.0),
    )
    return write_page(folder / PAGE, html)


def words(name: str) -> str:
    """The name of a stage for people, such as ``RPN head``."""
    return WORDS.get(name, name.replace("_", " "))


def _bars(benchmark: Benchmark) -> list[dict[str, Any]]:
    """The bar of each stage: its name, its width in per cent, the number of its colour, and its opacity."""
    shares = benchmark.shares()
    return [
        {"name": words(name), "width": 100 * shares[name], "color": colour, "strength": 1 - 0.3 * index}
        for colour, names in enumerate(GROUPS.values())
        for index, name in enumerate(names)
    ]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """A line of the table: the first cell aligned left, numbers aligned right."""
    cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
    return "  ".join(cells).rstrip()
