"""Detects swapped arguments: images where a detector is expected, and a detector where images are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from faster_rcnn.errors import OptionError
from faster_rcnn.weights.finding import MODELS_OF_RUN


def refuse_swapped(command: str, model: str, others: Sequence[str | Path]) -> None:
    """Raise ``OptionError`` where ``model`` exists and is no detector, but one of the other arguments is."""
    found = next((str(other) for other in others if _is_model(Path(other))), None)
    if found is not None and Path(model).exists() and not _is_model(Path(model)):
        rest = [str(other) for other in others if str(other) != found]
        line = " ".join((found, model, *rest[:1], *("..." for _ in rest[1:2])))
        raise OptionError(
            f"{model} is no detector, and {found} is one: were they swapped? The detector comes first: "
            f"faster-rcnn {command} {line}",
            code="E123",
        )


def _is_model(path: Path) -> bool:
    """Whether a path is a model file or a run folder."""
    if path.is_dir():
        return any((path / name).is_file() for name in MODELS_OF_RUN)
    return path.is_file() and path.suffix == ".safetensors"
