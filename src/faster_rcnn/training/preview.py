"""``train --preview``: what the network would be trained on, as one picture, before any training."""

from __future__ import annotations

import logging
import os
from itertools import chain
from pathlib import Path

import torch
from PIL import Image

from faster_rcnn.data.batches import epoch_batches
from faster_rcnn.data.records import Split
from faster_rcnn.data.training_image import TrainingImage, training_image
from faster_rcnn.data.transform import Transform
from faster_rcnn.data.transform_source import transform_of
from faster_rcnn.errors import DatasetError, ImageError, OptionError
from faster_rcnn.reporting.drawing.boxes import draw_boxes
from faster_rcnn.reporting.drawing.sheet import contact_sheet
from faster_rcnn.settings.schema import Config
from faster_rcnn.settings.train_options import TrainOptions
from faster_rcnn.structures import ClassMap
from faster_rcnn.system.atomic import atomic_write, make_folder
from faster_rcnn.system.numbering import first_free
from faster_rcnn.system.wording import count_of
from faster_rcnn.training.labelled import load_for_training
from faster_rcnn.training.new_run import chosen_settings

_LOG = logging.getLogger(__name__)

NAME = "preview"
MAX_IMAGES = 16
COLUMNS = 4
WIDTH = 1600
"""Width of the sheet in pixels; a picture of it is 400 wide."""
BATCH = 4
"""Images per step where that is ``auto``; it decides the order of the images only."""


def write_preview(data: Path, options: TrainOptions) -> Path:
    """Draw the first images of the first epoch as they are trained on, with their boxes; returns the picture.

    The images are those of a run with the same options: augmentation is a function of the seed, the epoch and the
    image. Ignored regions are dashed. The picture is in ``options.out``, or in the working directory.

    Raises:
        OptionError: an option makes no sense, or is that of a run that goes on.
        DatasetError: the data cannot be used, or none of these images can be decoded.
    """
    if options.resume:
        raise OptionError("--preview shows the first images of a new run; leave out --resume", code="E125")
    transform = transform_of(options.transform)
    config, _ = chosen_settings(options)
    dataset = load_for_training(data, config)
    images = _first_images(dataset.splits["train"], config, transform)
    sheet = contact_sheet([_drawn(image, dataset.classes) for image in images], min(COLUMNS, len(images)), WIDTH)
    folder = Path(".") if options.out is None else Path(options.out)
    make_folder(folder)
    target = Path(f"{first_free(folder / NAME, lambda path: os.path.lexists(f'{path}.png'))}.png")
    with atomic_write(target) as temporary:
        sheet.save(temporary, "PNG")
    boxes = sum(len(image.truth.boxes) for image in images)
    _LOG.info(
        f"{count_of(len(images), 'image')} of the first epoch as they are trained on, with "
        f"{count_of(boxes, 'box', 'boxes')}: {target}; nothing was trained"
    )
    return target


def _first_images(split: Split, config: Config, transform: Transform | None) -> list[TrainingImage]:
    """The first images of the first epoch; those that cannot be decoded are logged and left out."""
    training, sizes = config.training, [record.size for record in split.records]
    batch = BATCH if training.batch == "auto" else training.batch
    order = chain.from_iterable(epoch_batches(sizes, batch, training.seed, epoch=0))
    images: list[TrainingImage] = []
    for index in order:
        try:
            image = training_image(split, index, config.image, training, config.data, epoch=0, transform=transform)
            images.append(image)
        except ImageError as error:
            _LOG.warning(f"{error}; it is left out")
        if len(images) == MAX_IMAGES:
            break
    if not images:
        raise DatasetError(f"none of the {len(sizes)} images of {split.name} can be decoded, see above", code="E115")
    return images


def _drawn(image: TrainingImage, classes: ClassMap) -> Image.Image:
    pixels, truth = image.pixels, image.truth
    if pixels.is_floating_point():
        pixels = pixels.mul(255).round().to(torch.uint8)
    counted = ~truth.ignored
    labels = truth.labels[counted].tolist()
    return draw_boxes(pixels, truth.boxes[counted], labels, classes, dashed=truth.boxes[truth.ignored])
