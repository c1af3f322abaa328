"""How good the detector is after an epoch: losses and detections of the validation split, from one pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from faster_rcnn.data.loading import TrainingImage
from faster_rcnn.data.records import Split
from faster_rcnn.devices import computing_in
from faster_rcnn.images import rescale_boxes, size_of
from faster_rcnn.model import FasterRCNN
from faster_rcnn.structures import Detections, Proposals


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """Mean losses by name, and the detections of each image of the split that could be read."""

    losses: dict[str, float]
    detections: dict[int, Detections]
    """By place of the record in the split; in original pixels, on the CPU."""


def validate(
    model: FasterRCNN, split: Split, batches: Iterable[list[TrainingImage]], precision: torch.dtype
) -> Validation:
    """Run the detector over unchanged images.

    The means are over images: every batch counts by its length. Sampling has the same seeds in every epoch.
    """
    device = next(model.parameters()).device
    sums: dict[str, float] = {}
    found: dict[int, Detections] = {}
    images = 0
    for batch in batches:
        with computing_in(precision, device):
            losses, detections = model.validate(
                [one.pixels.to(device) for one in batch],
                [one.truth.to(device) for one in batch],
                [one.seed for one in batch],
                proposals_of(batch, device),
            )
        for name, value in losses.named().items():
            sums[name] = sums.get(name, 0.0) + value.item() * len(batch)
        images += len(batch)
        for one, each in zip(batch, detections, strict=True):
            boxes = rescale_boxes(each.boxes, size_of(one.pixels), split.records[one.index].size)
            found[one.index] = Detections(boxes, each.scores, each.labels).to("cpu")
    return Validation({name: value / max(images, 1) for name, value in sums.items()}, found)


def proposals_of(batch: list[TrainingImage], device: torch.device) -> list[Proposals] | None:
    """The proposals from outside that the images of a batch come with; ``None`` where the detector makes its own."""
    given = [one.proposals.to(device) for one in batch if one.proposals is not None]
    return given or None
