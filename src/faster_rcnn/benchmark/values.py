"""Values of a benchmark: a spread of times, what was timed, on what, and torchvision's detector beside it."""

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
    """Median, 10th and 90th percentile of seconds; between two of them, the straight line."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        """At least one."""
        low, middle, high = np.quantile(np.asarray(seconds, dtype=np.float64), (0.1, 0.5, 0.9))
        return cls(float(middle), float(low), float(high))

    def to_json(self) -> dict[str, float]:
        """In seconds."""
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
    """What the times were measured on."""

    device: str
    instruction_sets: tuple[str, ...]
    """Of the CPU."""
    onednn_bfloat16: bool
    """Whether it is what computes convolutions."""
    threads: int
    processors: int
    versions: dict[str, str]
    """Of packages, by name."""

    @property
    def amx(self) -> bool:
        """Whether the CPU multiplies matrices in tiles."""
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
    """As the user names it."""
    random_weights: bool
    precision: str
    images: int
    made_up_size: ImageSize | None
    """Of the made-up picture that stands for every image; None where there are images."""
    rounds: int

    @property
    def images_text(self) -> str:
        """What the images are, and how often each is timed."""
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
        """What the model is."""
        if not self.random_weights:
            return f"{self.model}, in {self.precision}"
        return (
            f"{self.model} with random weights, in {self.precision}: it finds nothing in particular, so times of "
            "proposals and post-processing mean little"
        )


@dataclass(frozen=True, slots=True)
class Contender:
    """A detector on decoded images, in turn with others that have the same weights: pixels to boxes."""

    name: str
    precision: str
    seconds: Spread
    detections: int
    """Of all images."""

    def to_json(self) -> dict[str, Any]:
        """Times in seconds."""
        return {
            "name": self.name,
            "precision": self.precision,
            "seconds": self.seconds.to_json(),
            "detections": self.detections,
        }

    def beside(self, ours: Contender) -> str:
        """How much faster or slower ours is, in words."""
        speed = relative_speed(self.seconds.median / ours.seconds.median)
        return (
            f"ours is {speed}, pixels to boxes: {ours.seconds} in {ours.precision}, "
            f"{self.seconds} in {self.precision}; {ours.detections:,} and {self.detections:,} detections"
        )


def relative_speed(ratio: float) -> str:
    """How fast something is that needs one part of the time where the other needs ``ratio`` parts."""
    longer = round(100 / ratio) - 100
    if longer >= 100:
        return f"slower by a factor of {1 / ratio:.2f}"
    return f"{longer} % slower" if longer > 0 else f"{ratio:.2f} times as fast"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"
