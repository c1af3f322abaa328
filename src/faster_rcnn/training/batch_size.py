"""``batch: auto``: the number of images per step that the memory of a GPU holds, found by steps on made images.

Powers of two are tried, upwards from one image. Each try is a whole training step with images of the largest size, so
that it holds what a step of the run will hold: weights, gradients, momentum, features and the boxes of both stages.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from faster_rcnn.building import build_model
from faster_rcnn.data.records import Dataset
from faster_rcnn.errors import MachineError
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import GroundTruth, ImageSize, Proposals, TrainingBatch
from faster_rcnn.system.devices import PRECISIONS, choose_device, choose_precision, precision_name
from faster_rcnn.system.distributed import ALONE, Processes
from faster_rcnn.training.machine_settings import with_training
from faster_rcnn.training.optimizer import optimizer_of
from faster_rcnn.training.schedule import IMAGES_PER_LEARNING_RATE
from faster_rcnn.training.step import training_step

_LOG = logging.getLogger(__name__)

MARGIN = 0.1
"""Share of the memory that stays free: for images with more truths, another order of allocations, and the average."""
MIN_STEPS_OF_EPOCH = 8
"""Steps that an epoch keeps where the batch becomes larger than the preset's: few images need many small steps."""
TRUTHS = 100
"""Truths of each made image."""

Step = Callable[[int], float]
"""Trains one step of some images and returns the share of the memory that it took, 0..1.

Raises ``torch.OutOfMemoryError`` where the memory does not suffice.
"""


@dataclass(frozen=True, slots=True)
class Found:
    """The largest batch that fits, and the share of the memory that its step took."""

    images: int
    share: float


def with_batch(config: Config, dataset: Dataset, processes: Processes = ALONE, step: Step | None = None) -> Config:
    """The configuration with the number that ``batch: auto`` means for these images, which is logged.

    On a GPU it is the largest power of two whose step leaves ``MARGIN`` of the memory free: at most 16, the number that
    learning rates are stated for, and above the preset's number only if an epoch keeps ``MIN_STEPS_OF_EPOCH`` steps.
    Several processes share the images. On a CPU, whose speed hardly depends on the batch, it is the preset's number.

    Args:
        config: the settings; precision and device may still be ``auto``.
        dataset: the classes and images to train on.
        processes: the processes that share the images of a step; this is the only one of them that tries.
        step: tries a step of some images; a detector of these settings does where it is not given.

    Raises:
        MachineError: the memory does not hold a step of one image.
        OptionError: the device is not there (E126).
    """
    if config.training.batch != "auto":
        return config
    device, usual = choose_device(config.training.device, processes), preset(config.preset).training.images_per_step
    if device.type == "cpu" and step is None:
        _LOG.info(f"batch auto: {usual} images per step, the number of preset {config.preset}, on a CPU")
        return with_training(config, batch=usual)
    images = len(dataset.splits["train"].records)
    limit = min(IMAGES_PER_LEARNING_RATE, max(usual, images // MIN_STEPS_OF_EPOCH))
    with nullcontext(step) if step else Trial(config, len(dataset.classes), device) as trial:
        found = largest_batch(trial, limit // processes.count)
    batch = found.images * processes.count
    shared = f" in {processes.count} processes" if processes.are_several else ""
    _LOG.info(
        f"batch auto: {batch} images per step{shared}, which take {100 * found.share:.0f} % of the memory of {device} "
        f"(tried up to {limit}, with {100 * MARGIN:.0f} % left free); --batch N sets another number"
    )
    return with_training(config, batch=batch)


def largest_batch(step: Step, limit: int) -> Found:
    """The largest power of two up to ``limit`` whose step fits with ``MARGIN``.

    Raises ``MachineError`` where not even one image does.
    """
    found, images = None, 1
    while images <= max(1, limit) and (share := _share_of(step, images)) is not None:
        found, images = Found(images, share), 2 * images
    if found is None:
        raise MachineError(
            "--batch auto: the memory of the device does not hold a training step of one image with a margin of "
            f"{100 * MARGIN:.0f} %; train on smaller images (--image-size), or on the CPU (--device cpu)"
        )
    return found


def _share_of(step: Step, images: int) -> float | None:
    """The share of the memory that a step takes; ``None`` where it does not fit."""
    try:
        share = step(images)
    except torch.OutOfMemoryError:
        return None
    return share if share <= 1 - MARGIN else None


class Trial:
    """Trains steps of a new detector on made images of the largest size, and measures the memory of its GPU.

    Used as a context, which frees the memory at its end.
    """

    def __init__(self, config: Config, classes: int, device: torch.device) -> None:
        self._config, self._classes, self._device = config, classes, device

    def __enter__(self) -> Trial:
        settings = self._config.training
        self._precision = PRECISIONS[precision_name(choose_precision(settings.precision, self._device))]
        with torch.random.fork_rng(devices=[]):  # the run's own random numbers stay
            model = build_model(self._config, self._classes).train()
        if settings.shared_layers == "fixed":
            model.backbone.fix()
        self._model = model.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimizer = optimizer_of(self._model, settings, lr=0.0)
        return self

    def __exit__(self, *_: object) -> None:
        del self._model, self._optimizer
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def __call__(self, images: int) -> float:
        """Train one step of so many images; see ``Step``. The learning rate is 0, so that no loss can diverge."""
        on_gpu = self._device.type == "cuda"
        if on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)
        batch = made_batch(self._config, self._classes, images)
        training_step(
            self._model,
            self._optimizer,
            batch,
            lr=0.0,
            clip_norm=1.0,
            precision=self._precision,
            micro_batch=self._config.training.micro_batch or None,
        )
        return _share_of_gpu(self._device) if on_gpu else 0.0


def _share_of_gpu(device: torch.device) -> float:
    """The largest share of a GPU's memory that was in use, by this process and by others."""
    free, total = torch.cuda.mem_get_info(device)
    others = total - free - torch.cuda.memory_reserved(device)
    return (others + torch.cuda.max_memory_reserved(device)) / total


def made_batch(config: Config, classes: int, images: int) -> TrainingBatch:
    """Images of noise of the largest size that training makes, each with ``TRUTHS`` truths; always the same."""
    generator = torch.Generator().manual_seed(0)
    size = largest_size(config)
    floats = config.image.resize == "plain"
    pixels = tuple(_noise(size, generator, floats=floats) for _ in range(images))
    truths = tuple(
        GroundTruth(
            _boxes(size, TRUTHS, generator),
            torch.randint(0, classes, (TRUTHS,), generator=generator),
            torch.zeros(TRUTHS, dtype=torch.bool),
        )
        for _ in range(images)
    )
    external = None
    if config.detector.kind == "fast-rcnn":
        count = config.detector.outside_proposals
        external = tuple(Proposals(_boxes(size, count, generator), torch.ones(count)) for _ in range(images))
    return TrainingBatch(pixels, truths, tuple(range(images)), external)


def largest_size(config: Config) -> ImageSize:
    """The largest landscape that images are resized to; a portrait has as many pixels."""
    return ImageSize(config.image.short_side, config.image.long_side)


def _noise(size: ImageSize, generator: torch.Generator, *, floats: bool) -> Tensor:
    noise = torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=generator)
    return noise.float() / 255 if floats else noise


def _boxes(size: ImageSize, count: int, generator: torch.Generator) -> Tensor:
    """Boxes (count, 4) of all sizes inside an image; at least a pixel wide and high."""
    corners = torch.rand(count, 2, 2, generator=generator) * torch.tensor([size.width - 1.0, size.height - 1.0])
    return torch.cat((corners.amin(dim=1), corners.amax(dim=1) + 1), dim=1)
