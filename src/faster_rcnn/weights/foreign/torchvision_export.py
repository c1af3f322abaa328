"""Writes a checkpoint that torchvision's own detectors load."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from faster_rcnn.structures import ClassMap
from faster_rcnn.system.atomic import atomic_write
from faster_rcnn.weights.foreign.layouts import layout_named, model_from_layout
from faster_rcnn.weights.foreign.state_dict import read_checkpoint
from faster_rcnn.weights.model_file import LoadedModel, stored_tensors
from faster_rcnn.weights.verification import read_back

TORCH, SAFETENSORS = (".pth", ".pt"), ".safetensors"
"""Endings of the files that can be written."""


def write_checkpoint(loaded: LoadedModel, layout: str, out: Path) -> None:
    """Convert a detector to a layout, write it, and import it again before the file takes its place.

    Raises:
        VerificationError: the file cannot be read back, or holds another detector.
        MachineError: the file cannot be written.
    """
    tensors = layout_named(layout).to_theirs(stored_tensors(loaded.model))
    with atomic_write(out) as temporary:
        # Counters of batch norm are left out: torchvision's layers make their own where a file has none.
        _write(temporary, {name: tensor.contiguous() for name, tensor in tensors.items()}, out.suffix)
        read_back(
            lambda: model_from_layout(
                temporary, read_checkpoint(temporary).tensors, layout, loaded.classes, loaded.config
            ),
            loaded,
            out,
        )


def _write(file: Path, tensors: dict[str, Tensor], suffix: str) -> None:
    if suffix == SAFETENSORS:
        file.write_bytes(save(tensors))  # save_file would replace the file, and with it the lock on it
    else:
        torch.save(tensors, file)


def meaning_of_labels(classes: ClassMap) -> str:
    """What the labels of torchvision's detector mean; it counts from 1 and stores no names."""
    known = [f"{label + 1} is '{name}'" for label, name in enumerate(classes.names) if name is not None]
    more = f" and so on, {len(known)} classes in the order of the model file" if len(known) > 5 else ""
    unused = f"; {len(classes.holes)} labels have no class and may be reported there" if classes.holes else ""
    return f"labels there: 0 is background, {', '.join(known[:5])}{more}{unused}"
