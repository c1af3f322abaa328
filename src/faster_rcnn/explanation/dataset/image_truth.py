"""The truth of one image, found in labelled images by the path of the image."""

from __future__ import annotations

import logging
from pathlib import Path

from faster_rcnn.data.finding import ORDER
from faster_rcnn.data.objects import split_without_classes
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.errors import OptionError
from faster_rcnn.evaluation.detector import settings_for
from faster_rcnn.evaluation.matching import NamedImage, positions_of
from faster_rcnn.explanation.dataset.classes import in_labels_of
from faster_rcnn.inference.prepared import PreparedDetector
from faster_rcnn.inference.tiles import Tiling
from faster_rcnn.structures import GroundTruth

_LOG = logging.getLogger(__name__)


def truth_in_data(
    image: Path,
    data: Path,
    detector: PreparedDetector,
    *,
    split: str | None = None,
    tiling: Tiling | None = None,
    model: str = "the detector",
) -> GroundTruth:
    """The truth of an image in pixels of the upright image, with the labels of a detector.

    Args:
        image: an image of the data; the longest common end of the paths decides which.
        data: folder or file of labelled images.
        detector: its classes are matched with the data's by name; truths of other classes are left out, with a warning.
        split: where the image is searched; by default in all splits.
        tiling: images that are cut into tiles may be larger.
        model: the detector's name in messages.

    Raises:
        DatasetError: the data cannot be used, or several images fit.
        ModelFileError: the detector and the data have no class in common (E123).
        OptionError: there is no such split, or the image is not in the data (E125).
    """
    dataset = load_dataset(data, settings_for(data, detector.config.data, tiling), None if split is None else [split])
    searched = (
        [dataset.split(split)]
        if split is not None
        else [dataset.splits[name] for name in ORDER if name in dataset.splits]
    )
    for part in searched:
        images = [NamedImage(record.image_id, record.path, record.size) for record in part.records]
        [position] = positions_of([str(image.absolute())], images)
        if position is None:
            continue
        judged = in_labels_of(
            split_without_classes(part) if detector.config.detector.kind == "rpn" else part, detector.classes, model
        )
        for note in judged.notes:
            _LOG.warning(note)
        return judged.split.records[position].truth
    names = ", ".join(part.name for part in searched)
    raise OptionError(
        f"{image} is no image of {data} ({names}), so its truth is not known; name an image of the data, or leave out "
        "--data",
        code="E125",
    )
