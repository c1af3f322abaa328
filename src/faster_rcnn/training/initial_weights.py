"""The weights that a new detector starts training from."""

from __future__ import annotations

from dataclasses import dataclass

from faster_rcnn.model import FasterRCNN
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.finetuning import load_for_finetuning
from faster_rcnn.weights.model_file import LoadedModel, stored_tensors
from faster_rcnn.weights.pretrained import load_pretrained


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Parts of a detector from which another one of the same settings starts; its other parts stay new."""

    detector: LoadedModel
    prefixes: tuple[str, ...]
    """Beginnings of the names of their tensors, such as ``backbone.``."""
    name: str
    """What the detector is called in messages."""


def initialise(model: FasterRCNN, config: Config, classes: ClassMap, start: LoadedModel | Parts | None) -> str:
    """Load the initial weights of a new detector; returns a line for people that names them.

    Args:
        model: the new detector, with random weights.
        config: its settings, of which ``backbone.weights`` counts where there is no ``start``.
        classes: its classes.
        start: a trained detector to fine-tune, or parts of one.

    Raises:
        ModelFileError: less than 90 % of the backbone fits ``start``.
        MachineError: ImageNet weights are not here and cannot be downloaded.
    """
    if isinstance(start, Parts):
        tensors = stored_tensors(start.detector.model)
        taken = {name: tensor for name, tensor in tensors.items() if name.startswith(start.prefixes)}
        model.load_state_dict(taken, strict=False)
        return f"weights of {start.name}: {', '.join(prefix.rstrip('.') for prefix in start.prefixes)}"
    if start is not None:
        return load_for_finetuning(model, config, classes, start)
    if config.backbone.weights == "imagenet":
        return load_pretrained(model, config)
    return f"body {config.backbone.body}: random weights"
