"""A test of a few seconds that a detector trains and detects on this machine."""

from __future__ import annotations

import math
import time

import torch

from faster_rcnn.building import build_model
from faster_rcnn.errors import MachineError
from faster_rcnn.settings.resolve import resolve_config
from faster_rcnn.structures import GroundTruth, TrainingBatch
from faster_rcnn.system.devices import choose_device, choose_precision, computing_in
from faster_rcnn.training.step import training_step

SIDE = 96
"""Pixels of the self-test's image."""
SMALLER = (f"image.short_side={SIDE}", f"image.long_side={SIDE}", "roi.head_hidden=[64, 64]")
"""Settings that make the preset ``small`` fast enough for a self-test."""


def self_test() -> str:
    """Run one training step and one detection of a small new detector on the best device, in its fastest precision.

    Raises:
        MachineError: a loss or a box is not finite.
    """
    start = time.perf_counter()
    device = choose_device("auto")
    precision = choose_precision("auto", device)
    model = build_model(resolve_config("small", None, SMALLER, {}), num_classes=2).to(device).train()
    image = torch.randint(0, 256, (3, SIDE, SIDE), dtype=torch.uint8)
    truth = GroundTruth(torch.tensor([[8.0, 8.0, 72.0, 64.0]]), torch.tensor([1]), torch.tensor([False]))
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=1e-3)
    losses = training_step(
        model, optimizer, TrainingBatch((image,), (truth,), (0,)), lr=1e-3, clip_norm=10.0, precision=precision
    )
    with computing_in(precision, device):
        found = model.eval().detect([image.to(device)])[0]
    if not (math.isfinite(losses.total) and torch.isfinite(found.boxes).all()):
        raise MachineError("a new detector gave numbers that are not finite")
    return f"one training step and one detection on {device}, {time.perf_counter() - start:.1f} s"
