"""From the name of a detector to a predictor that is ready to work."""

from __future__ import annotations

import logging

import torch

from faster_rcnn.acceleration.selection import precision_for
from faster_rcnn.errors import OptionError
from faster_rcnn.images import target_size
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.structures import ImageSize
from faster_rcnn.system.devices import choose_device, precision_name
from faster_rcnn.system.wording import count_of
from faster_rcnn.weights.foreign.published import resolve_model

_LOG = logging.getLogger(__name__)


def load_predictor(model: str, precision: str, device: str = "auto") -> Predictor:
    """The detector that a command names, ready to work, and a line about it."""
    place = choose_device(device)
    exact = precision == "float32"
    loaded = resolve_model(model)
    chosen = precision_for(loaded, precision, place)
    predictor = Predictor(loaded, place, chosen, exact=exact)
    classes = len(predictor.classes) - len(predictor.classes.holes)
    kind = precision_name(predictor.precision)
    where = f"{kind} on {place}, {count_of(torch.get_num_threads(), 'CPU thread')}"
    _LOG.info(f"{model}: {predictor.config.preset}, {count_of(classes, 'class', 'classes')}, {where}")
    return predictor


def refuse_without_second_stage(predictor: Predictor, model: str) -> None:
    """Raise ``OptionError`` where nothing would look at proposals from outside."""
    if predictor.config.detector.kind == "rpn":
        raise OptionError(f"--proposals: {model} is a region proposal network, which has no second stage for them")


def say_tiles(predictor: Predictor) -> None:
    """A line about the tiles, where there are some, and the size at which the detector sees them."""
    if predictor.tiling is None:
        return
    image, side = predictor.config.image, predictor.tiling.side
    seen = target_size(ImageSize(side, side), image.short_side, image.long_side, image.size_rounding)
    _LOG.info(
        f"tiles of {side}x{side} pixels that share {predictor.tiling.overlap:g} of their side, each seen at "
        f"{seen.width}x{seen.height}; a larger image is seen as a whole, too"
    )
