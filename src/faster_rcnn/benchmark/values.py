"""Values of a benchmark: a spread of times, the timed detector, the machine, and detectors timed in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from faster_rcnn.errors import OptionError
from faster_rcnn.structures import ImageSize
from faster_rcnn.system.wording import count_of


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, 10th and 90th percentile of seconds, interpolated linearly."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        """The spread of one or more times."""
        low, middle, high = np.quantile(np.asarray(seconds, dtype=np.float64), (0.1, 0.5, 0.9))
        return cls(float(middle), float(low), float(high))

    def to_json(self) -> dict[str, float]:
        """The three numbers, in seconds."""
        return {"median": self.median, "p10": self.low, "p90": self.high}

    @property
    def middle(self) -> str:
        """The median as text."""
        return f"{1000 * self.median:.1f} ms"

    @property
    def range(self) -> str:
        """Both percentiles as text."""
        return f"{1000 * self.low:.1f} to {1000 * self.high:.1f} ms"

    def __str__(self) -> str:
        return f"{self.middle} ({self.range})"


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is timed: ``images`` at most, each ``rounds`` times."""

    images: int = 20
    rounds: int = 3

    def __post_init__(self) -> None:
        if self.images < 1 or self.rounds < 1:
            raise OptionError(
                f"{self.images} images and {self.rounds} rounds: at least one of each is timed", code="E125"
            )


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine on which the times were measured."""

    device: str
    instruction_sets: tuple[str, ...]
    """Instruction sets of the CPU."""
    onednn_bfloat16: bool
    """Whether oneDNN computes convolutions in bfloat16."""
    threads: int
    processors: int
    versions: dict[str, str]
    """Versions of packages, by name."""

    @property
    def amx(self) -> bool:
        """Whether the CPU has AMX, its unit for matrix products."""
        return "AMX" in self.instruction_sets

    def __str__(self) -> str:
        kind = "oneDNN's bfloat16 is used" if self.onednn_bfloat16 else "oneDNN's bfloat16 is not used"
        amx = [] if self.amx else ["no AMX"]
        counts = f"{count_of(self.threads, 'thread')} on {count_of(self.processors, 'processor')}"
        versions = [f"{name} {version}" for name, version in self.versions.items()]
        return ", ".join([self.device, *self.instruction_sets, *amx, kind, counts, *versions])


@dataclass(frozen=True, slots=True)
class BenchmarkSetup:
    """What is timed."""

    model: str
    """The detector's name, as the user gave it."""
    random_weights: bool
    precision: str
    images: int
    made_up_size: ImageSize | None
    """Size of the made-up picture that stands for every image; ``None`` where images are given."""
    rounds: int

    @property
    def images_text(self) -> str:
        """The images and how often each is timed, in words."""
        if self.made_up_size is None:
            return (
                f"{count_of(self.images, 'image')}, each timed {_times(self.rounds)} after a round that is not counted"
            )
        height, width = self.made_up_size
        return (
            f"a made-up picture of smooth colours, {width} x {height} pixels, the model's own size, as a JPEG file, "
            f"timed {_times(self.images * self.rounds)} after one that is not counted"
        )

    @property
    def model_text(self) -> str:
        """The model and its precision, in words."""
        if not self.random_weights:
            return f"{self.model}, in {self.precision}"
        return (
            f"{self.model} with random weights, in {self.precision}: its detections are arbitrary, so times of "
            "proposals and post-processing mean little"
        )


@dataclass(frozen=True, slots=True)
class Contender:
    """Times of a detector from pixels to boxes, taken in turn with others that have the same weights."""

    name: str
    precision: str
    seconds: Spread
    detections: int
    """Number of detections in all images."""

    def to_json(self) -> dict[str, Any]:
        """The numbers as JSON; times in seconds."""
        return {
            "name": self.name,
            "precision": self.precision,
            "seconds": self.seconds.to_json(),
            "detections": self.detections,
        }

    def beside(self, ours: Contender) -> str:
        """How much faster or slower our detector is, in words."""
        speed = relative_speed(self.seconds.median / ours.seconds.median)
        return (
            f"ours is {speed}, pixels to boxes: {ours.seconds} in {ours.precision}, "
            f"{self.seconds} in {self.precision}; {ours.detections:,} and {self.detections:,} detections"
        )


def relative_speed(ratio: float) -> str:
    """The speed of a detector in words; ``ratio`` is the other one's time divided by its own."""
    longer = round(100 / ratio) - 100
    if longer >= 100:
        return f"slower by a factor of {1 / ratio:.2f}"
    return f"{longer} % slower" if longer > 0 else f"{ratio:.2f} times as fast"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"
