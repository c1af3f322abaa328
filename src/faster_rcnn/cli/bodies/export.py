"""``faster-rcnn export``: a checkpoint that torchvision's own detectors load, from one of our models."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from faster_rcnn.cli.outputs import model_file, require_file
from faster_rcnn.errors import FasterRCNNError, OptionError, VerificationError
from faster_rcnn.structures import ClassMap
from faster_rcnn.system.atomic import atomic_write
from faster_rcnn.system.console import say
from faster_rcnn.weights.foreign.layouts import layout_named, model_from_layout
from faster_rcnn.weights.foreign.published import resolve_model
from faster_rcnn.weights.foreign.state_dict import read_state_dict
from faster_rcnn.weights.foreign.torchvision_checkpoint import plan_export
from faster_rcnn.weights.model_file import LoadedModel, stored_tensors

TORCH, SAFETENSORS = (".pth", ".pt"), ".safetensors"


def run(model: str, *, layout: str | None, out: Path) -> int:
    """Convert, write, read back, compare, and print the call that builds the detector; returns the exit code."""
    if out.suffix not in (*TORCH, SAFETENSORS):
        raise OptionError(f"--out {out} must end in {', '.join(TORCH)} or {SAFETENSORS}", code="E125")
    require_file("--out", out, [model_file(model)])
    loaded = resolve_model(model)
    plan = plan_export(model, loaded.config, layout)
    tensors = layout_named(plan.layout).to_theirs(stored_tensors(loaded.model))
    with atomic_write(out) as temporary:
        # Counters of batch norm are left out: torchvision's layers make their own where a file has none.
        _write(temporary, {name: tensor.contiguous() for name, tensor in tensors.items()}, out.suffix)
        _verify(temporary, plan.layout, loaded, out)
    say(f"wrote {out} as {plan.layout}, read it back and found it equal. It is loaded by")
    say(*plan.calls(len(loaded.classes) + 1, out))
    say(_labels(loaded.classes))
    return 0


def _write(file: Path, tensors: dict[str, Tensor], suffix: str) -> None:
    if suffix == SAFETENSORS:
        file.write_bytes(save(tensors))  # save_file would replace the file, and with it the lock on it
    else:
        torch.save(tensors, file)


def _verify(file: Path, layout: str, exported: LoadedModel, out: Path) -> None:
    """Raise ``VerificationError`` unless import makes the same detector of the file, which is to become ``out``."""
    try:
        again = model_from_layout(file, read_state_dict(file), layout, exported.classes, exported.config)
    except FasterRCNNError as error:
        raise VerificationError(f"what was written for {out} cannot be read back and is removed: {error}") from error
    wanted = stored_tensors(exported.model)
    differing = [name for name, each in stored_tensors(again.model).items() if not torch.equal(each, wanted[name])]
    if differing:
        raise VerificationError(f"what was written for {out} differs from the model in '{differing[0]}'; it is removed")


def _labels(classes: ClassMap) -> str:
    """What torchvision's labels mean; it counts from 1 and knows no names."""
    known = [f"{label + 1} is '{name}'" for label, name in enumerate(classes.names) if name is not None]
    more = f" and so on, {len(known)} classes in the order of the model file" if len(known) > 5 else ""
    unused = f"; {len(classes.holes)} labels have no class and may be reported there" if classes.holes else ""
    return f"labels there: 0 is background, {', '.join(known[:5])}{more}{unused}"
