"""AP that the printed anchor advice gains, on objects that are smaller than the anchors of the preset ``small``.

    python benchmarks/anchor_advice.py [--seeds 0 1 2] [--epochs 8] [--train 80] [--val 40] [--out DIR]

The data are made (``small_objects.py``): objects of 7 to 16 pixels, where the smallest anchor has 24. For each seed the
preset is trained twice for the same number of epochs, as it is and with the settings that ``fitted_to_split`` gives for
the training images, and the last epoch of both is measured on the validation images.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from bars import Bar, judge
from small_objects import HEIGHT, make_small_objects
from timing import machine

from faster_rcnn import Detector
from faster_rcnn.building import build_without_values
from faster_rcnn.data.anchor_fitting import AnchorFit, fitted_to_split
from faster_rcnn.data.reading import load_split
from faster_rcnn.settings.resolve import resolve_config
from faster_rcnn.settings.schema import DataConfig
from faster_rcnn.training.run_folder import LAST

MIN_GAIN = 1.0
"""Least mean gain in points of AP."""


def advice_for(data: Path) -> AnchorFit:
    """The anchors that fit the training images, at the size that both trainings resize them to."""
    config = resolve_config("small", None, (), {"image_size": HEIGHT})
    strides = build_without_values(config, 1).rpn.anchors.strides
    fit = fitted_to_split(load_split(data, DataConfig(), "train").split("train"), config, strides)
    assert fit is not None
    return fit


def trained_ap(data: Path, folder: Path, options: argparse.Namespace, seed: int, settings: Sequence[str]) -> float:
    """AP of one training, 0..1, on the validation images."""
    start = time.monotonic()
    Detector.train(
        data,
        model="small",
        out=folder,
        epochs=options.epochs,
        image_size=HEIGHT,
        seed=seed,
        settings=[*settings, "rpn.follow_data=false", "training.scale_jitter=[1, 1]"],
    )
    ap = Detector.load(folder / LAST, device="cpu").evaluate(data, "val").ap
    print(f"{folder.name}: AP {ap}, {time.monotonic() - start:.0f} s", flush=True)
    return ap or 0.0


def compare(options: argparse.Namespace, folder: Path) -> list[float]:
    """The gain in points of AP of each seed."""
    data = make_small_objects(folder / "data", {"train": options.train, "val": options.val})
    fit = advice_for(data)
    shares = f"{fit.before.half:.0%} with the preset's anchors, {fit.after.half:.0%} with the fitted ones"
    print(f"{fit.objects} objects; share with an anchor of an IoU of at least 0.5: {shares}")
    print(f"faster-rcnn train data {fit.words}", flush=True)
    gains = []
    for seed in options.seeds:
        plain = trained_ap(data, folder / f"preset-{seed}", options, seed, ())
        advised = trained_ap(data, folder / f"advised-{seed}", options, seed, fit.settings)
        gains.append(100 * (advised - plain))
        print(f"seed {seed}: AP {plain:.3f} with the preset's anchors, {advised:.3f} with the advice", flush=True)
    return gains


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare as the command line asks; returns the exit code of the bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--train", type=int, default=80, help="number of training images")
    parser.add_argument("--val", type=int, default=40, help="number of validation images")
    parser.add_argument("--out", type=Path, help="folder for data and runs; by default a temporary one")
    options = parser.parse_args(arguments)
    print(machine())
    with TemporaryDirectory() as temporary:
        gains = compare(options, options.out or Path(temporary))
    return judge([Bar(f"gain in points of AP, mean of {len(gains)} seeds", fmean(gains), at_least=MIN_GAIN)])


if __name__ == "__main__":
    sys.exit(main())
