"""Calibration of a detector for int8: activation ranges measured on image files."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from faster_rcnn.acceleration.folding import prepare_for_inference
from faster_rcnn.acceleration.quantization import calibrate, quantized_model
from faster_rcnn.errors import DatasetError, ImageError
from faster_rcnn.inference.inputs import to_pixels
from faster_rcnn.kernels.int8_layers import Range
from faster_rcnn.system.devices import choose_precision
from faster_rcnn.system.progress import counted
from faster_rcnn.weights.model_file import LoadedModel

_LOG = logging.getLogger(__name__)


def calibrate_on_files(loaded: LoadedModel, paths: Sequence[Path]) -> tuple[dict[str, Range], int]:
    """Measure the activation ranges of a detector on images, on the CPU.

    Images that cannot be decoded are left out with a warning.

    Returns:
        The range of each layer, and the number of images in which they were measured.

    Raises:
        DatasetError: no image can be decoded, or a layer never had an input, as nothing was proposed (E122).
    """
    cpu = torch.device("cpu")
    network = prepare_for_inference(loaded.model, choose_precision("auto", cpu), exact=False)
    damaged: list[str] = []

    def images() -> Iterator[Tensor]:
        for path in counted(paths, "calibration images", len(paths)):
            try:
                yield to_pixels(path, str(path), loaded.config.data.max_pixels)
            except ImageError as error:
                damaged.append(str(error))
                _LOG.warning(f"{error}; it is left out")

    ranges = calibrate(network, images())
    count = len(paths) - len(damaged)
    if count == 0:
        raise DatasetError("no image of train can be decoded, so there are no activation ranges", code="E122")
    try:
        quantized_model(network, ranges)
    except KeyError as error:
        raise DatasetError(
            f"layer {error} had no input in {count} images, as nothing was proposed there: train the detector, or use "
            "more of its images, --count",
            code="E122",
        ) from error
    return ranges, count
