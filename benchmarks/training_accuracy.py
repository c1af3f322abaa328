"""Accuracy after training: ours against torchvision's Faster R-CNN with the same body, neck, image size and schedule.

    python benchmarks/training_accuracy.py --data DIR [--epochs 8] [--seeds 0 1 2] [--out DIR]

For each seed both are trained for the same number of epochs, with the same batch and the same rise and fall of the
learning rate, in the type that is fast on this machine, and measured by the same metrics, in float32. What is measured
is the last epoch of each: the peer has no other, and the best one by validation would be an advantage of ours. Each
augments as it does by itself: the peer flips.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import fmean
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
from faster_rcnn.system.devices import choose_precision
from faster_rcnn.system.progress import counted, progress
from faster_rcnn.training.run_folder import LAST
from faster_rcnn.training.schedule import learning_rate


def train_ours(options: argparse.Namespace, seed: int, folder: Path) -> Metrics:
    """Train and measure ours through the public API; the run stays in ``folder``."""
    Detector.train(
        options.data,
        model="small",
        out=folder,
        epochs=options.epochs,
        batch=options.batch,
        image_size=options.image_size,
        seed=seed,
    )
    return Detector.load(folder / LAST, precision="float32").evaluate(options.data, options.split)


def train_peer(train: Split, test: Split, config: Config, epochs: int) -> Metrics:
    settings = config.training
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
    return measure_peer(detector.eval(), test)


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
    parser.add_argument("--out", type=Path, help="folder for our runs, which accuracy.py and real_time.py take")
    options = parser.parse_args(arguments)
    print(machine(), flush=True)
    with TemporaryDirectory() as folder:
        pairs = [measured(options, seed, options.out or Path(folder)) for seed in options.seeds]
    ours, peer = (fmean(of_seeds) for of_seeds in zip(*pairs, strict=True))
    print(f"mean of {len(pairs)}: ours AP {ours:.4f}, peer AP {peer:.4f}")
    seeds = ", ".join(map(str, options.seeds))
    return judge([Bar(f"mean AP of seeds {seeds}, the peer's being asked", ours, at_least=peer)])


def measured(options: argparse.Namespace, seed: int, folder: Path) -> tuple[float, float]:
    """Train both with one seed; return the AP of ours and of the peer."""
    flags = {"epochs": options.epochs, "batch": options.batch, "image_size": options.image_size, "seed": seed}
    config = resolve_config("small", None, (), flags)
    dataset = load_dataset(options.data, config.data)
    test = dataset.split(options.split)
    ours = train_ours(options, seed, folder / f"seed-{seed}")
    peer = train_peer(dataset.splits["train"], test, config, options.epochs)
    numbers = []
    for name, found in (("ours", ours), ("peer", peer)):
        if found.ap is None or found.ap50 is None:
            raise SystemExit(f"{options.data}: {test.name} has no boxes to find")
        print(f"seed {seed}, {name}: AP {found.ap:.4f}, AP50 {found.ap50:.4f}", flush=True)
        numbers.append(found.ap)
    return numbers[0], numbers[1]


if __name__ == "__main__":
    sys.exit(main())
