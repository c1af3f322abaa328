"""Checkpoints of other projects: names and tensors, read without running any code in them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from faster_rcnn.errors import ModelFileError
from faster_rcnn.weights.model_file import is_pickle, read_safetensors
from faster_rcnn.weights.unpickling import PickledArray, is_plain_pickle, read_plain_pickle

WRAPPERS = ("model", "state_dict", "model_state_dict")
"""Keys under which training scripts keep the weights, beside the optimizer's state (torchvision's: ``model``)."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Tensors by name of a ``.safetensors`` file, of one that ``torch.save`` wrote, or of a pickle of numpy arrays.

    Which of them a file is is seen by its content. Raises ``ModelFileError`` for a file that is none, or that holds
    other objects than tensors.
    """
    if not path.is_file():
        raise ModelFileError(f"there is no file {path} to import", code="E123")
    content: Any = _read(path)
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if isinstance(content, Mapping):
        content = {name: each.tensor if isinstance(each, PickledArray) else each for name, each in content.items()}
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ModelFileError(f"{path} holds no state dict (tensors by name) and is not imported", code="E123")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def _read(path: Path) -> object:
    if not is_pickle(path):
        return read_safetensors(path)[1]
    return read_plain_pickle(path) if is_plain_pickle(path) else _read_torch(path)


def _read_torch(path: Path) -> object:
    """What ``torch.save`` wrote, if it is made of tensors and plain values; anything else is refused, not run."""
    try:
        content: object = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelFileError(
            f"{path} is a pickle that holds other objects than tensors; it is not imported, for it could run any "
            "code. Save model.state_dict() alone and import that",
            code="E123",
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelFileError(
            f"{path} is incomplete or damaged ({reason}); was the copy interrupted?", code="E123"
        ) from error
    return content
