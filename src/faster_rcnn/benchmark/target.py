"""Searches for the image size and number of proposals that keep an image below a time limit."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from faster_rcnn.benchmark.timing import MIN_SCORE
from faster_rcnn.benchmark.values import Spread
from faster_rcnn.building import with_settings
from faster_rcnn.data.records import Split
from faster_rcnn.errors import OptionError
from faster_rcnn.evaluation.detector import measure_detector, settings_for, split_to_measure
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import PreparedDetector
from faster_rcnn.settings.schema import Config
from faster_rcnn.system.timing import timed

_LOG = logging.getLogger(__name__)

SHARES = (1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25)
"""Shares of the model's own image size that are tried."""
PROPOSALS = (300, 200, 100, 50)
"""Numbers of proposals that are tried, where they are below the model's own."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A time limit of an image, and labelled images on which its cost in AP is measured."""

    milliseconds: float
    data: Path | None = None
    split: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.milliseconds < math.inf:
            raise OptionError(
                f"--target-ms {self.milliseconds:g}: the limit must be a positive number of milliseconds", code="E125"
            )

    def labelled(self, config: Config) -> Split | None:
        """The images to measure AP on; raises ``DatasetError`` where they cannot be used."""
        if self.data is None:
            return None
        return split_to_measure(self.data, settings_for(self.data, config.data), self.split)


def goal_of(milliseconds: float | None, data: Path | None, split: str | None) -> Goal | None:
    """The goal of the options, ``None`` without a limit; raises ``OptionError`` for data without a limit."""
    if milliseconds is None and (data is not None or split is not None):
        raise OptionError("--data and --split are for --target-ms, which is missing", code="E125")
    return None if milliseconds is None else Goal(milliseconds, data, split)


@dataclass(frozen=True, slots=True)
class Trial:
    """Time and AP of the detector with other settings."""

    config: Config
    seconds: Spread
    """Seconds from file to boxes."""
    ap: float | None
    """AP on the labelled images; ``None`` without any."""

    def to_json(self) -> dict[str, Any]:
        """The settings, time in seconds and AP as JSON."""
        return {
            "image_size": self.config.image.short_side,
            "proposals": self.config.rpn.proposals_after_nms,
            "seconds": self.seconds.to_json(),
            "AP": self.ap,
        }

    def __str__(self) -> str:
        ap = "" if self.ap is None else f", AP {self.ap:.3f}"
        image, rpn = self.config.image, self.config.rpn
        return f"image size {image.short_side}, {rpn.proposals_after_nms} proposals: {self.seconds}{ap}"


@dataclass(frozen=True, slots=True)
class Target:
    """Result of the search for settings below a time limit."""

    milliseconds: float
    own: Trial
    """The detector with its own settings."""
    fitting: tuple[Trial, ...]
    """For each image size that allows it, the most proposals within the limit; largest images first."""
    fastest: Trial
    """The fastest of all trials."""

    @property
    def chosen(self) -> Trial | None:
        """The trial with the highest AP where it was measured, else the largest image; ``None`` if none fits."""
        if not self.fitting:
            return None
        return max(self.fitting, key=lambda each: -1.0 if each.ap is None else each.ap)

    def to_json(self) -> dict[str, Any]:
        """The limit and the trials as JSON."""
        return {
            "milliseconds": self.milliseconds,
            "own": self.own.to_json(),
            "fitting": [each.to_json() for each in self.fitting],
            "chosen": None if self.chosen is None else self.chosen.to_json(),
        }

    def facts(self) -> list[tuple[str, str]]:
        """Labels and texts of the trials and the choice."""
        label = f"for {self.milliseconds:g} ms"
        tried = [
            ("own settings", str(self.own)),
            *((f"fits {self.milliseconds:g} ms", str(each)) for each in self.fitting),
        ]
        if self.chosen is None:
            return [*tried, (label, f"no trial is fast enough; the fastest is {self.fastest}")]
        return [*tried, (label, f"{self.chosen}{self._cost()}")]

    def _cost(self) -> str:
        if self.chosen is None or self.chosen.ap is None or self.own.ap is None:
            return "; its cost in AP is measured with labelled images (--data)"
        return f"; {self.chosen.ap - self.own.ap:+.3f} AP against the detector's own settings"


def find_target(
    detector: PreparedDetector, milliseconds: float, images: Sequence[Path], rounds: int, split: Split | None
) -> Target:
    """Try smaller images and fewer proposals, from the largest on, until a size fits with all proposals.

    AP is measured on ``split``, where one is given, with the detector's own settings and with all that fit.
    """
    own = detector.config
    tried: list[Trial] = []
    fitting: list[Trial] = []
    for share in SHARES:
        for config in _of_size(own, share):
            tried.append(_time(detector, config, images, rounds))
            _LOG.info(str(tried[-1]))
            if 1000 * tried[-1].seconds.median <= milliseconds:
                fitting.append(_measured(detector, tried[-1], split))
                break
        if fitting and fitting[-1].config.rpn.proposals_after_nms == own.rpn.proposals_after_nms:
            break  # smaller images cannot be better
    first = next((each for each in fitting if each.config == own), None) or _measured(detector, tried[0], split)
    return Target(milliseconds, first, tuple(fitting), min(tried, key=lambda each: each.seconds.median))


def predictor_with(detector: PreparedDetector, config: Config) -> Predictor:
    """A predictor of the same detector at the image size and the number of proposals of ``config``."""
    proposal_filter = replace(detector.network.inference_filter, after_nms=config.rpn.proposals_after_nms)
    network = with_settings(detector.network, image=config.image, inference_filter=proposal_filter)
    return Predictor(replace(detector, network=network, config=config, compiler=None), batch=1)


def _of_size(own: Config, share: float) -> list[Config]:
    """Settings with a share of the image size, by decreasing number of proposals."""
    most = own.rpn.proposals_after_nms
    sides = {name: max(1, round(share * getattr(own.image, name))) for name in ("short_side", "long_side")}
    image = own.image.model_copy(update=sides)
    counts = [most, *(count for count in PROPOSALS if count < most)]
    return [
        own.model_copy(update={"image": image, "rpn": own.rpn.model_copy(update={"proposals_after_nms": count})})
        for count in counts
    ]


def _time(detector: PreparedDetector, config: Config, images: Sequence[Path], rounds: int) -> Trial:
    predictor = predictor_with(detector, config)
    for path in dict.fromkeys(images):  # every size has kernels chosen for it once
        predictor.predict_one(path, MIN_SCORE)
    seconds = [
        timed(partial(predictor.predict_one, path, MIN_SCORE), detector.device)[0]
        for _ in range(rounds)
        for path in images
    ]
    return Trial(config, Spread.of(seconds), None)


def _measured(detector: PreparedDetector, trial: Trial, split: Split | None) -> Trial:
    """The trial with its AP, where a split is given."""
    if split is None:
        return trial
    predictor = predictor_with(detector, trial.config)
    return replace(trial, ap=measure_detector(predictor, split, "the detector").ap)
