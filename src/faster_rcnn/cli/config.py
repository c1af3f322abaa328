"""The command ``faster-rcnn config``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from faster_rcnn.system.console import show

if TYPE_CHECKING:
    from faster_rcnn.settings.schema import Config


def config(*, model: str = "small") -> int:
    """Print all settings as YAML, each with its meaning, unit and source; train --config reads the file back.

    Args:
        model: Preset, model file, run folder or published name.
    """
    from faster_rcnn.settings.yaml_text import as_yaml

    show(as_yaml(_configuration(model)))
    return 0


def _configuration(model: str) -> Config:
    """The settings of a preset, of a model file or run folder, or of published weights."""
    from faster_rcnn.settings.presets import PRESETS, preset

    if model in PRESETS or not (os.path.exists(model) or model.startswith(("torchvision:", "detectron2:"))):
        return preset(model)
    from faster_rcnn.weights.finding import find_model_file
    from faster_rcnn.weights.model_file import read_model_config
    from faster_rcnn.weights.resolve import resolve_model

    return read_model_config(find_model_file(model)) if os.path.exists(model) else resolve_model(model).config
