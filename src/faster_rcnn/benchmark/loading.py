"""The detector and the images that a benchmark times."""

from __future__ import annotations

import logging
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import torch

from faster_rcnn.building import with_settings
from faster_rcnn.errors import ModelFileError, OptionError
from faster_rcnn.settings.presets import PRESETS, preset
from faster_rcnn.settings.resolve import resolve_config
from faster_rcnn.settings.schema import Config
from faster_rcnn.weights.classes import coco_80_classes
from faster_rcnn.weights.model_file import LoadedModel, new_model
from faster_rcnn.weights.resolve import resolve_model

_LOG = logging.getLogger(__name__)


def is_preset(model: str) -> bool:
    """Whether a name means a preset, and not a file or folder of that name."""
    return model in PRESETS and not Path(model).exists()


def load_or_build(model: str) -> LoadedModel:
    """A trained detector; or that of a preset with random weights, always the same, for COCO's 80 classes.

    Raises:
        ModelFileError: there is no such model or preset, or its file is damaged (E123).
    """
    if not is_preset(model):
        close = [] if Path(model).exists() else get_close_matches(model, PRESETS, n=1)
        if close:
            raise ModelFileError(
                f"there is no model file, run folder or preset '{model}'; did you mean '{close[0]}'?", code="E123"
            )
        return resolve_model(model)
    _LOG.info(f"{model} is a preset: its weights are random, so times of proposals and post-processing mean little")
    config, classes = preset(model), coco_80_classes()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LoadedModel(new_model(model, config, classes).eval(), config, classes)


def at_image_size(loaded: LoadedModel, image_size: int | None) -> LoadedModel:
    """The same detector for images of another shorter side, in pixels; raises ``OptionError`` for a senseless one."""
    config = resolve_config(None, None, (), {"image_size": image_size}, start=loaded.config)
    return replace(loaded, model=with_settings(loaded.model, image=config.image), config=config)


def refuse_single_stages(model: str, config: Config) -> None:
    """Raise ``OptionError`` for a detector without a first or a second stage."""
    kind = config.detector.kind
    if kind == "faster-rcnn":
        return
    hint = "a Fast R-CNN beside a Faster R-CNN is timed by: faster-rcnn compare"
    if kind == "rpn":
        hint = "for the time of a first stage, name a detector that has a second one too"
    raise OptionError(f"{model}: its detector.kind is {kind}, and only detectors with both stages are timed; {hint}")
