"""Calibration of a detector for int8: activation ranges measured on image files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from faster_rcnn.acceleration.folding import prepare_for_inference
from faster_rcnn.acceleration.quantization import calibrate, quantized_model
from faster_rcnn.errors import DatasetError
from faster_rcnn.inference.examples import read_examples
from faster_rcnn.kernels.int8_layers import Range
from faster_rcnn.system.devices import choose_precision
from faster_rcnn.system.progress import counted
from faster_rcnn.weights.model_file import LoadedModel


def calibrate_on_files(loaded: LoadedModel, paths: Sequence[Path], count: int) -> tuple[dict[str, Range], int]:
    """Measure the activation ranges of a detector on up to ``count`` images, on the CPU; see ``read_examples``.

    Returns:
        The range of each layer, and the number of images in which they were measured.

    Raises:
        DatasetError: no image can be read, or a layer never had an input, as nothing was proposed (E122).
    """
    cpu = torch.device("cpu")
    network = prepare_for_inference(loaded.model, choose_precision("auto", cpu), exact=False)
    used = 0

    def images() -> Iterator[Tensor]:
        nonlocal used
        examples = read_examples(paths, count, loaded.config.data.max_pixels)
        for pixels in counted(examples, "calibration images", min(count, len(paths))):
            used += 1
            yield pixels

    ranges = calibrate(network, images())
    try:
        quantized_model(network, ranges)
    except KeyError as error:
        raise DatasetError(
            f"layer {error} had no input in {used} images, as nothing was proposed there: train the detector, or use "
            "more of its images, --count",
            code="E122",
        ) from error
    return ranges, used
