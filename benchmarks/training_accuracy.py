"""Accuracy after training: ours against torchvision's Faster R-CNN with the same body, neck, image size and schedule.

    python benchmarks/training_accuracy.py --data DIR [--epochs 8] [--seeds 0 1 2] [--out DIR]

For each seed both are trained for the same number of epochs, with the same batch and the same rise and fall of the
learning rate, in the type that is fast on this machine, and measured by the same metrics, in float32. What is measured
is the last epoch of each: the peer has no other, and the best one by validation would be an advantage of ours. Each
augments and optimizes as it does by itself: the peer flips, and has SGD. The time of training is that of the whole
call for ours, and that of its steps for the peer.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import fmean, median
from tempfile import TemporaryDirectory

import torch
from bars import Bar, judge
from peer import peer_detections, peer_detector, peer_optimizer, peer_records, peer_step
from timing import machine
from torch import nn

from faster_rcnn import Detector
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.data.records import Split
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.evaluation.split import measure_split
from faster_rcnn.settings.resolve import resolve_config
from faster_rcnn.settings.schema import Config
from faster_rcnn.system.devices import choose_precision, precision_name
from faster_rcnn.system.progress import counted, progress
from faster_rcnn.training.run_folder import LAST
from faster_rcnn.training.schedule import learning_rate

PEER = ("training.optimizer=sgd", "training.lr=0.08", "training.weight_decay=0.0001")
"""The peer's optimizer is that of torchvision's reference scripts; the rate, for 16 images, suits short trainings."""
SHARES = {"bfloat16": 0.25, "float32": 0.34}
"""Share of the peer's training time that ours may take, by the precision of both."""


@dataclass(frozen=True, slots=True)
class Trained:
    """One trained detector."""

    metrics: Metrics
    seconds: float
    """Of training, without the measurement."""


def train_ours(options: argparse.Namespace, seed: int, folder: Path) -> Trained:
    """Train and measure ours through the public API; the run stays in ``folder``."""
    start = time.monotonic()
    Detector.train(
        options.data,
        model=options.preset,
        out=folder,
        epochs=options.epochs,
        batch=options.batch,
        image_size=options.image_size,
        seed=seed,
    )
    seconds = time.monotonic() - start
    return Trained(Detector.load(folder / LAST, precision="float32").evaluate(options.data, options.split), seconds)


def train_peer(train: Split, test: Split, config: Config, epochs: int) -> Trained:
    """Train and measure the peer."""
    start, settings = time.monotonic(), config.training
    torch.manual_seed(settings.seed)
    random = Random(settings.seed)
    detector = peer_detector(config, len(train.classes))
    optimizer = peer_optimizer(detector, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay)
    bfloat16 = choose_precision(settings.precision, torch.device("cpu")) == torch.bfloat16
    records = peer_records(train)
    batches = [
        shuffled[start : start + settings.images_per_step]
        for shuffled in (random.sample(records, len(records)) for _ in range(epochs))
        for start in range(0, len(records), settings.images_per_step)
    ]
    with progress("steps of the peer", len(batches)) as meter:
        for step, batch in enumerate(batches):
            lr = learning_rate(step, settings, len(batches))
            loss = peer_step(detector, optimizer, batch, random, lr=lr, clip_norm=settings.clip_norm, bfloat16=bfloat16)
            meter.advance({"loss": loss})
    seconds = time.monotonic() - start
    return Trained(measure_peer(detector.eval(), test), seconds)


def measure_peer(detector: nn.Module, test: Split) -> Metrics:
    records = counted(test.records, f"images of {test.name}", len(test.records))
    return measure_split(test, {place: peer_detections(detector, record.path) for place, record in enumerate(records)})


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="labelled images with a split train")
    parser.add_argument("--split", help="that is measured on; test where there is one, else val")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--batch", type=int, help="images per step; the preset's own where not given")
    parser.add_argument("--image-size", type=int, help="pixels of the shorter side; the preset's own where not given")
    parser.add_argument("--preset", default="small", choices=["small", "small-plus", "fast"], help="ours")
    parser.add_argument("--out", type=Path, help="folder for our runs, which accuracy.py and real_time.py take")
    options = parser.parse_args(arguments)
    print(machine(), flush=True)
    with TemporaryDirectory() as folder:
        pairs = [measured(options, seed, options.out or Path(folder)) for seed in options.seeds]
    ours, peer = (fmean(each.metrics.ap or 0.0 for each in of_seeds) for of_seeds in zip(*pairs, strict=True))
    share = median(own.seconds / other.seconds for own, other in pairs)
    print(f"mean of {len(pairs)}: ours AP {ours:.4f}, peer AP {peer:.4f}")
    seeds = ", ".join(map(str, options.seeds))
    most = SHARES[precision_name(choose_precision("auto", torch.device("cpu")))]
    bars = [
        Bar(f"mean AP of seeds {seeds}, the peer's being asked", ours, at_least=peer),
        Bar("time of training in shares of the peer's", share, at_most=most),
    ]
    return judge(bars)


def measured(options: argparse.Namespace, seed: int, folder: Path) -> tuple[Trained, Trained]:
    """Train both with one seed: ours, then the peer."""
    flags = {"epochs": options.epochs, "batch": options.batch, "image_size": options.image_size, "seed": seed}
    config = resolve_config(options.preset, None, PEER, flags)
    dataset = load_dataset(options.data, config.data)
    test = dataset.split(options.split)
    ours = train_ours(options, seed, folder / f"seed-{seed}")
    peer = train_peer(dataset.splits["train"], test, config, options.epochs)
    for name, found in (("ours", ours), ("peer", peer)):
        if found.metrics.ap is None or found.metrics.ap50 is None:
            raise SystemExit(f"{options.data}: {test.name} has no boxes to find")
        numbers = f"AP {found.metrics.ap:.4f}, AP50 {found.metrics.ap50:.4f}, {found.seconds:.0f} s of training"
        print(f"seed {seed}, {name}: {numbers}", flush=True)
    return ours, peer


if __name__ == "__main__":
    sys.exit(main())
