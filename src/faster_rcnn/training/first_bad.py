"""The first tensor of a step that is not finite, found by repeating the step on a copy of the detector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import fields, is_dataclass

import torch
from torch import Tensor, nn

from faster_rcnn.model import FasterRCNN
from faster_rcnn.structures import TrainingBatch
from faster_rcnn.system.devices import computing_in


def first_bad_tensor(
    model: FasterRCNN, batch: TrainingBatch, precision: torch.dtype, random: Tensor, micro_batch: int | None = None
) -> str | None:
    """The first tensor that is not finite, in words; ``None`` where all are finite.

    Weights, images and truths come first, then the output of each layer in the order of computing, the losses, and the
    gradients in the order of the backward pass.

    Args:
        model: the detector before the step; it stays as it is.
        batch: the images of the step.
        precision: type of convolutions and matrix products.
        random: state of torch's random numbers before the step, for dropout.
        micro_batch: largest number of images that are held at once.
    """
    own = deepcopy(model).train(model.training)
    batch = batch.to(next(own.parameters()).device)
    given = _bad_input(own, batch)
    if given is not None:
        return given
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(random)
        return next(
            (bad for part in batch.parts(micro_batch) if (bad := _bad_in_pass(own, part, precision)) is not None), None
        )


def _bad_input(model: FasterRCNN, batch: TrainingBatch) -> str | None:
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if not _is_finite(tensor):
            return f"the weights {name}"
    for index, (image, truth) in enumerate(zip(batch.images, batch.truths, strict=True)):
        if not (_is_finite(image) and _is_finite(truth.boxes)):
            return f"image {index} of the step or its boxes"
    return None


def _bad_in_pass(model: FasterRCNN, batch: TrainingBatch, precision: torch.dtype) -> str | None:
    """The first bad tensor of one forward and backward pass."""
    found: list[str] = []

    def check(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if not found and not all(map(_is_finite, _tensors_in(output))):
                found.append(f"the output of {name} ({type(module).__name__})")

        return hook

    handles = [module.register_forward_hook(check(name)) for name, module in model.named_modules() if name]
    model.zero_grad(set_to_none=True)
    try:
        with computing_in(precision, next(model.parameters()).device):
            losses = model(batch)
    finally:
        for handle in handles:
            handle.remove()
    if found:
        return found[0]
    bad = [name for name, value in losses.named().items() if not _is_finite(value)]
    if bad:
        return f"the loss {bad[0]}"
    losses.total.backward()
    grads = [name for name, each in model.named_parameters() if each.grad is not None and not _is_finite(each.grad)]
    return f"the gradient of {grads[-1]}" if grads else None  # the backward pass ends with the first layers


def _tensors_in(value: object) -> Iterator[Tensor]:
    """The tensors in an output: in lists, dicts and values of the package."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors_in(each)
    elif isinstance(value, dict):
        yield from _tensors_in(list(value.values()))
    elif is_dataclass(value):
        yield from _tensors_in([getattr(value, field.name) for field in fields(value)])


def _is_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())
