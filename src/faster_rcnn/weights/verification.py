"""Reading a written file back: it takes its place only where it holds the detector that was to be written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from faster_rcnn.errors import FasterRCNNError, VerificationError
from faster_rcnn.system.atomic import atomic_write
from faster_rcnn.weights.model_file import LoadedModel, load_model, stored_tensors, write_loaded


def read_back(read: Callable[[], LoadedModel], written: LoadedModel, out: Path) -> LoadedModel:
    """Read what was written for ``out`` and compare its tensors with those of ``written``; returns what was read.

    Raises:
        VerificationError: the file cannot be read, or a tensor differs in any bit.
    """
    try:
        found = read()
    except FasterRCNNError as error:
        raise VerificationError(f"what was written for {out} cannot be read back and is removed: {error}") from error
    wanted = stored_tensors(written.model)
    differing = [name for name, each in stored_tensors(found.model).items() if not torch.equal(each, wanted[name])]
    if differing:
        raise _difference(out, f"tensor '{differing[0]}'")
    return found


def save_verified(out: Path, loaded: LoadedModel) -> None:
    """Write a model file that is read back, and equals ``loaded``, before it takes its place.

    Raises:
        VerificationError: the file cannot be read back, or differs in a tensor, in its settings or its classes.
        MachineError: the file cannot be written.
    """
    with atomic_write(out) as temporary:
        write_loaded(temporary, loaded)
        found = read_back(lambda: load_model(temporary), loaded, out)
        if found.config != loaded.config or found.classes != loaded.classes:
            raise _difference(out, "its settings or classes")


def _difference(out: Path, what: str) -> VerificationError:
    return VerificationError(f"what was written for {out} differs from the detector in {what}; it is removed")
