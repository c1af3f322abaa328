"""Gradients of one step in several processes, for tests/training/test_gradients.py and test_shared_norms.py."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from faster_rcnn.building import build_model
from faster_rcnn.structures import ImageSize, Proposals, TrainingBatch
from faster_rcnn.system.distributed import ALONE, Processes
from faster_rcnn.training.gradients import add_gradients, in_parallel
from faster_rcnn.training.shared_norms import share_norms
from tiny import boxes_of, random_image, tiny_config, tiny_preset, training_batch, truth_of

SIZES = ((64, 96), (64, 80), (48, 96), (64, 64), (40, 40))
LARGEST = ImageSize(64, 96)
OBJECTS: tuple[list[list[float]], ...] = (
    [[5, 5, 40, 40], [30, 10, 60, 50]],
    [[5, 5, 40, 40]],
    [],
    [[10, 10, 30, 30]],
    [[2, 2, 30, 36]],
)
LABELS: tuple[list[int], ...] = ([0, 1], [0], [], [1], [2])


def whole_batch(images: int, external: bool = False) -> TrainingBatch:
    pixels = [random_image(*size, seed=seed) for seed, size in enumerate(SIZES[:images])]
    truths = [truth_of(boxes, labels) for boxes, labels in zip(OBJECTS[:images], LABELS[:images], strict=True)]
    some = Proposals(boxes_of([[4, 4, 30, 30], [20, 8, 60, 44], [1, 1, 38, 39]]), torch.tensor([0.9, 0.5, 0.1]))
    return training_batch(pixels, truths, list(range(images)), [some] * images if external else None)


def share_of(batch: TrainingBatch, processes: Processes) -> TrainingBatch:
    part = slice(processes.rank, None, processes.count)
    proposals = None if batch.proposals is None else batch.proposals[part]
    return TrainingBatch(batch.images[part], batch.truths[part], batch.seeds[part], proposals, LARGEST)


def gradients(
    processes: Processes, kind: str = "tiny", images: int = 4, micro_batch: int | None = None
) -> tuple[list[float], dict[str, torch.Tensor | None]]:
    """Losses of one step of a detector, and the gradient of each weight by name."""
    torch.manual_seed(0)
    config = tiny_config() if kind in ("tiny", "rpn", "fast-rcnn") else tiny_preset(kind)
    if kind in ("rpn", "fast-rcnn"):
        config = config.model_copy(update={"detector": config.detector.model_copy(update={"kind": kind})})
    model = build_model(config, 3)
    model.train()
    batch = share_of(whole_batch(images, external=kind == "fast-rcnn"), processes)
    trained = in_parallel(model, processes)
    _, losses = add_gradients(trained, batch, torch.float32, micro_batch=micro_batch, processes=processes)
    return losses.tolist(), {name: each.grad for name, each in model.named_parameters()}


BOUNDS = {1: (0, 6), 2: (0, 4, 6), 3: (0, 3, 5, 6)}
"""First image of each process, and the end, by the number of processes."""


def normed(processes: Processes) -> dict[str, Any]:
    """What a batch norm gives and learns from 6 images, of which the processes have different numbers."""
    torch.manual_seed(0)
    images, wanted = torch.randn(6, 4, 5, 3) * 3 + 1, torch.randn(6, 4, 5, 3)
    start, stop = BOUNDS[processes.count][processes.rank : processes.rank + 2]
    part = slice(start, stop)
    model = nn.Sequential(nn.BatchNorm2d(4))
    share_norms(model, processes)
    inputs = images[part].requires_grad_()
    outputs = model(inputs)
    ((outputs - wanted[part]) ** 2).sum().backward()
    norm = model[0]
    assert isinstance(norm, nn.BatchNorm2d)
    model.eval()
    return {
        "outputs": outputs.detach(),
        "gradient of inputs": inputs.grad,
        "gradients of weights": processes.added(torch.stack([norm.weight.grad, norm.bias.grad])),  # type: ignore[list-item]
        "statistics": torch.stack([norm.running_mean, norm.running_var]),  # type: ignore[list-item]
        "in inference": model(images).detach(),
        "names": list(model.state_dict()),
    }


def alone() -> dict[str, Any]:
    return normed(ALONE)
