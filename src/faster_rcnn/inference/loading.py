"""Loading and preparing a detector for inference, from its name or from memory.

Commands, the Python API and the benchmark use these functions, so a device and a precision mean the same everywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from faster_rcnn.acceleration.selection import precision_for
from faster_rcnn.building import for_inference_with
from faster_rcnn.errors import OptionError
from faster_rcnn.images import target_size
from faster_rcnn.inference.exported import exported_detector
from faster_rcnn.inference.prepared import PreparedDetector, prepare
from faster_rcnn.inference.tiles import Tiling
from faster_rcnn.settings.inference import with_inference_settings
from faster_rcnn.structures import ImageSize
from faster_rcnn.system.devices import choose_device, precision_name
from faster_rcnn.system.distributed import ALONE, Processes
from faster_rcnn.system.wording import count_of
from faster_rcnn.weights.exported import is_exported
from faster_rcnn.weights.model_file import LoadedModel, write_loaded
from faster_rcnn.weights.resolve import resolve_model

_LOG = logging.getLogger(__name__)


def load_detector(
    model: str,
    precision: str = "auto",
    device: str = "auto",
    settings: str | Sequence[str] | None = None,
    processes: Processes = ALONE,
) -> PreparedDetector:
    """Load a model file, a run folder, an exported file or published weights, prepare it, and log its kind.

    See ``detector_from``. ``settings`` are settings of inference in place of the model's own; see ``loaded_with``. Each
    of several processes on a machine has a GPU of its own.
    """
    place = choose_device(device, processes)  # refuses an unknown device before a large file is read
    device = device if is_exported(model) else str(place)  # which runs on a CPU, unless another device is named
    _, detector = detector_from(model, precision, device, settings)
    classes = len(detector.classes) - len(detector.classes.holes)
    kind = precision_name(detector.precision)
    where = f"{kind} on {detector.device}, {count_of(torch.get_num_threads(), 'CPU thread')}"
    _LOG.info(f"{model}: {detector.config.preset}, {count_of(classes, 'class', 'classes')}, {where}")
    return detector


def detector_from(
    model: LoadedModel | str,
    precision: str = "auto",
    device: str = "auto",
    settings: str | Sequence[str] | None = None,
    *,
    compile: bool = False,
) -> tuple[LoadedModel | str, PreparedDetector]:
    """Prepare a detector that is in memory, or that has a name; the first value is what it can be made of again.

    Raises:
        OptionError: the device, the precision or a setting makes no sense here, or an exported file is to be compiled.
        ModelFileError, MachineError: as ``resolve_model``, ``exported_detector`` and ``prepare``.
    """
    if isinstance(model, str) and is_exported(model):
        if compile:
            raise OptionError(f"compile=True: {model} is an exported file, with a runtime of its own", code="E125")
        return model, exported_detector(Path(model), precision, device, settings)
    loaded = loaded_with(resolve_model(model) if isinstance(model, str) else model, settings)
    return loaded, ready_detector(loaded, precision, device, compile=compile)


def write_model(source: LoadedModel | str, path: Path) -> Path:
    """Write a detector as a model file, returns the path; raises ``OptionError`` for an exported one (E125)."""
    if isinstance(source, str):
        raise OptionError(f"{source} is an exported file, which holds no model to save; copy the file", code="E125")
    write_loaded(path, source)
    return path


def loaded_with(loaded: LoadedModel, settings: str | Sequence[str] | None) -> LoadedModel:
    """The same detector, with shared weights, for other settings of inference, each as ``section.key=value``.

    Raises ``OptionError`` (E125) for a setting that belongs to training or to the weights, and for a value that does
    not fit.
    """
    if not settings:
        return loaded
    config = with_inference_settings(loaded.config, settings)
    return replace(loaded, model=for_inference_with(config, loaded.model), config=config)


def ready_detector(
    loaded: LoadedModel, precision: str = "auto", device: str = "auto", *, compile: bool = False
) -> PreparedDetector:
    """Prepare a detector that is in memory, with the precision and the device as a user names them.

    ``auto`` chooses the fastest precision of the machine; float32 is bit-exact only where the user names it.

    Raises:
        OptionError: the device or the precision does not exist here.
        ModelFileError, MachineError: as ``prepare``.
    """
    place = choose_device(device)
    chosen = precision_for(loaded, precision, place)
    return prepare(loaded, place, chosen, exact=precision == "float32", compile=compile)


def refuse_without_second_stage(detector: PreparedDetector, model: str) -> None:
    """Raise ``OptionError`` where the detector has no second stage, which external proposals need."""
    if detector.config.detector.kind == "rpn":
        raise OptionError(f"--proposals: {model} is a region proposal network, which has no second stage for them")


def log_tiles(detector: PreparedDetector, tiling: Tiling | None) -> None:
    """Log the size of the tiles, if any, and the size to which the detector resizes each of them."""
    if tiling is None:
        return
    image, side = detector.config.image, tiling.side
    resized = target_size(ImageSize(side, side), image.short_side, image.long_side, image.size_rounding)
    _LOG.info(
        f"tiles of {side}x{side} pixels that share {tiling.overlap:g} of their side, each resized to "
        f"{resized.width}x{resized.height}; a larger image is also detected as a whole"
    )
