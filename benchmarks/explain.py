"""Explaining labelled images against measuring them: the time of verdicts and funnel as a multiple of `evaluate`.

    python benchmarks/explain.py --model RUN --data DIR [--split val] [--images 100] [--rounds 3]

Each round runs both in turn on the same images, and the order changes with each round; the first images of each, which
warm up, are not counted. The bar is the median ratio. The search for missing labels, which reads half as many training
images, is timed apart and has no bar; so are AP with each kind of error mended and TIDE's numbers.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from bars import Bar, judge
from timing import machine, seconds

from faster_rcnn.data.reading import load_split
from faster_rcnn.data.records import Split, evenly_spread
from faster_rcnn.evaluation.detector import choose_split, measure_detector, settings_for
from faster_rcnn.explanation.causes.kinds import Thresholds
from faster_rcnn.explanation.survey import Survey, survey
from faster_rcnn.inference.loading import load_detector
from faster_rcnn.inference.predictor import Predictor

MAX_RATIO = 2.0
"""Time of verdicts and funnel divided by that of `evaluate`."""
WARM_UP = 4
"""Images before the first round."""
THRESHOLDS = Thresholds(0.5)


def funnel_seconds(predictor: Predictor, split: Split, train: Split | None = None) -> float:
    """Seconds of a survey with its funnel."""
    return seconds(lambda: survey(predictor, split, THRESHOLDS, train=train).funnel)


def impact_seconds(found: Survey) -> float:
    """Seconds of AP with each kind of error mended, and of TIDE's numbers."""
    return seconds(lambda: (found.impact, found.tide))


def measure(predictor: Predictor, split: Split, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of `evaluate`, and of verdicts and funnel, in each round."""
    evaluated, explained = [], []
    evaluate, explain = partial(measure_detector, predictor, split, "m"), partial(funnel_seconds, predictor, split)
    for number in range(rounds):
        if number % 2:
            explained.append(explain())
        evaluated.append(seconds(evaluate))
        if not number % 2:
            explained.append(explain())
        print(f"round {number + 1}: evaluate {evaluated[-1]:.2f} s, explain {explained[-1]:.2f} s", flush=True)
    return evaluated, explained


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="run folder, model file or published name")
    parser.add_argument("--data", type=Path, required=True, help="labelled images")
    parser.add_argument("--split", default=None, help="by default test where there is one, else val")
    parser.add_argument("--images", type=int, default=100, help="largest number of images")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    detector = load_detector(given.model)
    dataset = load_split(given.data, settings_for(given.data, detector.config.data), given.split, also=("train",))
    whole = choose_split(dataset, given.split)
    split = replace(whole, records=tuple(evenly_spread(whole.records, given.images)))
    predictor, first = Predictor(detector), replace(split, records=split.records[:WARM_UP])
    print(f"{machine()}, {torch.get_num_threads()} threads; {len(split.records)} images of {split.name}", flush=True)
    measure_detector(predictor, first, "m")
    funnel_seconds(predictor, first)
    evaluated, explained = measure(predictor, split, given.rounds)
    ratios = [ours / theirs for ours, theirs in zip(explained, evaluated, strict=True)]
    labels = funnel_seconds(predictor, split, dataset.split("train")) - statistics.median(explained)
    mended = impact_seconds(survey(predictor, split, THRESHOLDS))
    print(
        f"evaluate {statistics.median(evaluated):.2f} s; missing labels {labels:.2f} s; impact {mended:.2f} s",
        flush=True,
    )
    return judge([Bar("verdicts and funnel / evaluate", statistics.median(ratios), at_most=MAX_RATIO)])


if __name__ == "__main__":
    sys.exit(main())
