"""Resolution of the argument MODEL of commands and of ``Detector.load``."""

from __future__ import annotations

import os
from difflib import get_close_matches

from faster_rcnn.errors import ModelFileError
from faster_rcnn.settings.presets import PRESETS
from faster_rcnn.weights.exported import is_exported
from faster_rcnn.weights.finding import find_model_file
from faster_rcnn.weights.foreign.layouts import layout_named
from faster_rcnn.weights.foreign.published import published_model
from faster_rcnn.weights.foreign.torchvision_layout import LAYOUTS
from faster_rcnn.weights.hub import downloaded, is_on_hub
from faster_rcnn.weights.model_file import LoadedModel, load_model


def resolve_model(text: str) -> LoadedModel:
    """Load a model file, the best model of a run folder, published weights by their name, or ``hf://owner/name``.

    Raises:
        ModelFileError: the name is none of these, or the file cannot be loaded (E123).
        MachineError: the weights were not downloaded before, and their download fails.
    """
    if is_on_hub(text):
        return load_model(downloaded(text))
    if is_exported(text):
        raise ModelFileError(
            f"{text} is an exported file: predict, evaluate, benchmark and Detector.load run it, and no other; "
            "name the model file that it was made of",
            code="E123",
        )
    if os.path.exists(text):
        return load_model(find_model_file(text))
    if text in LAYOUTS:
        return published_model(text)
    if text.startswith("detectron2:"):
        layout_named(text)
        raise ModelFileError(
            f"'{text}' is a layout, and its weights are not downloaded; save their file from Detectron2's model zoo, "
            f"then: faster-rcnn import FILE --layout {text} --out MODEL",
            code="E123",
        )
    if text in PRESETS:
        raise ModelFileError(
            f"'{text}' is a preset, settings without trained weights; train one first: "
            f"faster-rcnn train DATA --model {text}",
            code="E123",
        )
    close = get_close_matches(text, LAYOUTS, n=1, cutoff=0.8)
    if close or text.startswith("torchvision:"):
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(LAYOUTS)}"
        raise ModelFileError(f"there are no published weights '{text}'; {hint}", code="E123")
    return load_model(find_model_file(text))
