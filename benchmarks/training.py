"""Time of training: ours against torchvision's Faster R-CNN with the same body, neck, image size and batch.

    python benchmarks/training.py --data DIR [--peer-float32 | --before]

Both decode, augment and train on the same images, without validation. Each round trains both for a few steps, in turn.
Ours computes in the precision that `auto` chooses on this machine, the peer in bfloat16 or in float32. With `--before`
the peer is ours with the settings that `small` had before it became lighter.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import torch
from bars import Bar, judge
from frontier_variants import VARIANTS
from peer import peer_detector, peer_optimizer, peer_records, peer_step
from timing import compare, machine

from faster_rcnn.building import build_model
from faster_rcnn.data.loading import StepImages, TrainingLoader
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.data.records import Split
from faster_rcnn.settings.resolve import resolve_config
from faster_rcnn.settings.schema import Config
from faster_rcnn.system.devices import choose_precision
from faster_rcnn.system.memory import keep_freed_memory
from faster_rcnn.training.optimizer import optimizer_of
from faster_rcnn.training.step import batch_of, training_step
from faster_rcnn.weights.pretrained import load_pretrained

TIMES_BFLOAT16, TIMES_FLOAT32 = 2.5, 6.0
"""Required speed of ours in multiples of the peer's, by the precision of the peer."""
SHARE_OF_BEFORE = 0.7
"""Most of the time of a step with the settings that `small` had before."""
LR, MOMENTUM, WEIGHT_DECAY, CLIP_NORM = 1e-3, 0.9, 1e-4, 10.0
"""Settings of the peer's optimizer, and the rate of both; they do not influence the time of a step, but the losses have
to stay finite."""


def peer_steps(split: Split, config: Config, bfloat16: bool) -> Iterator[None]:
    """Train torchvision's detector, one step for each item that is taken."""
    detector = peer_detector(config, len(split.classes))
    optimizer = peer_optimizer(detector, lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    records, random = peer_records(split), Random(0)
    while True:
        batch = random.sample(records, config.training.images_per_step)
        peer_step(detector, optimizer, batch, random, lr=LR, clip_norm=CLIP_NORM, bfloat16=bfloat16)
        yield


def our_steps(split: Split, config: Config) -> Iterator[None]:
    """Train our detector, one step for each item that is taken."""
    model = build_model(config, len(split.classes))
    load_pretrained(model, config)
    model = model.to(memory_format=torch.channels_last).train()
    optimizer = optimizer_of(model, config.training, LR)
    precision = choose_precision("auto", torch.device("cpu"))
    keep_freed_memory()  # for the peer, too: it is a setting of the process
    for batch in _endless(TrainingLoader(split, config.image, config.training, config.data)):
        training_step(
            model,
            optimizer,
            batch_of(batch.own),
            lr=LR,
            clip_norm=CLIP_NORM,
            precision=precision,
        )
        yield


def _endless(loader: TrainingLoader) -> Iterator[StepImages]:
    epoch = 0
    while True:
        yield from loader.epoch(epoch)
        epoch += 1


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="labelled images with a split train")
    parser.add_argument("--steps", type=int, default=5, help="of each in one round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, help="images per step; the preset's own where not given")
    parser.add_argument("--image-size", type=int, help="pixels of the shorter side; the preset's own where not given")
    peers = parser.add_mutually_exclusive_group()
    peers.add_argument("--peer-float32", action="store_true", help="the peer in float32, not in bfloat16")
    peers.add_argument("--before", action="store_true", help="the peer is ours, with the settings of small before")
    options = parser.parse_args(arguments)
    flags = {"batch": options.batch, "image_size": options.image_size}
    config = resolve_config("small", None, (), flags)
    split = load_dataset(options.data, config.data).splits["train"]
    ours, peer = our_steps(split, config), peer_steps(split, config, not options.peer_float32)
    if options.before:
        peer = our_steps(split, resolve_config("small", None, VARIANTS["small-before"].all_settings, flags))

    def take(steps: Iterator[None]) -> None:
        for _ in range(options.steps):
            next(steps)

    kind, least = ("float32", TIMES_FLOAT32) if options.peer_float32 else ("bfloat16", TIMES_BFLOAT16)
    print(machine(), flush=True)
    images = options.steps * config.training.images_per_step
    name = "the peer being small before" if options.before else f"the peer in {kind}"
    ratio = compare(f"{images} images, {name}", lambda: take(ours), lambda: take(peer), options.rounds)
    if options.before:
        return judge([Bar("time of a training step of small, by that before", ratio, at_most=SHARE_OF_BEFORE)])
    return judge([Bar(f"speed of training, times that of the peer in {kind}", 1 / ratio, at_least=least)])


if __name__ == "__main__":
    sys.exit(main())
