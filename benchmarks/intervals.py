"""How many bootstrap intervals of ``evaluate`` hold the truth, where it is known.

    python benchmarks/intervals.py [--sets 200]

Sets of labelled images and of detections are drawn at random, always by the same rule. The AP of very many images is
the truth, and each small set gives an interval for it. Of the intervals of 95 %, nearly 95 % must hold the truth.
"""

from __future__ import annotations

import argparse

import numpy as np
from bars import Bar, judge

from faster_rcnn.evaluation.bootstrap import CONFIDENCE, METRICS, metric_intervals
from faster_rcnn.evaluation.coco import metrics_of
from faster_rcnn.evaluation.engine import Columns, DetectionColumns, TruthColumns, curves
from faster_rcnn.structures import ClassMap, ImageSize

CLASSES = ClassMap(("a", "b"), (1, 2))
IMAGES, SETS, SAMPLES, MANY = 150, 200, 200, 20_000
"""Images of a set, sets, samples of each bootstrap, and images that the truth is measured on."""
LEAST, MOST = 90, 99
"""Ends of the bar in %, for intervals of 95 %."""


def drawn(random: np.random.Generator, images: int) -> Columns:
    """Images of 1 to 5 truths, easy or hard: a hard one loses more truths, moves boxes more and has more false ones."""
    hard = random.random(images)
    of_truth = np.repeat(np.arange(images), random.integers(1, 6, images))
    count = len(of_truth)
    truths = np.hstack([random.uniform(0, 400, (count, 2)), random.uniform(20, 150, (count, 2))])
    labels = random.integers(1, 3, count)
    found = random.random(count) < 1 - 0.5 * hard[of_truth]
    noise = random.normal(0, 1, (count, 4)) * (0.03 + 0.09 * hard[of_truth])[:, None] * truths[:, [2, 3, 2, 3]]
    moved = truths + noise
    moved[:, 2:] = np.maximum(moved[:, 2:], 1)
    of_false = np.repeat(np.arange(images), random.poisson(1 + 2 * hard))
    false = np.hstack([random.uniform(0, 400, (len(of_false), 2)), random.uniform(20, 150, (len(of_false), 2))])
    scores = np.concatenate([random.beta(4, 2, count)[found], random.beta(2, 4, len(of_false))])
    return Columns(
        (ImageSize(600, 600),) * images,
        2,
        TruthColumns(of_truth + 1, labels, truths, truths[:, 2] * truths[:, 3], np.zeros(count, dtype=bool)),
        DetectionColumns(
            np.concatenate([of_truth[found], of_false]) + 1,
            np.concatenate([labels[found], random.integers(1, 3, len(of_false))]),
            np.vstack([moved[found], false]),
            scores,
        ),
    )


def main() -> int:
    """Draw the sets, and count the intervals that hold the truth; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=SETS)
    sets = parser.parse_args().sets
    everything = drawn(np.random.default_rng(0), MANY)
    truth = metrics_of(curves(everything), everything, CLASSES).to_json("all")
    held = dict.fromkeys(METRICS, 0)
    for seed in range(1, sets + 1):
        intervals = metric_intervals(drawn(np.random.default_rng(seed), IMAGES), SAMPLES)
        assert intervals is not None  # hotcoco is there
        for name, each in intervals.items():
            held[name] += each.lower <= truth[name] <= each.upper
    for name, count in held.items():
        print(f"{name}: {truth[name]:.3f} in {MANY:,} images; {count} of {sets} intervals of {CONFIDENCE:.0%} hold it")
    shares = {f"intervals of {name} that hold it, in %": 100 * count / sets for name, count in held.items()}
    least = [Bar(what, share, at_least=LEAST) for what, share in shares.items()]
    return judge([*least, *(Bar(what, share, at_most=MOST) for what, share in shares.items())])


if __name__ == "__main__":
    raise SystemExit(main())
