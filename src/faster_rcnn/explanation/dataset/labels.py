"""Probable missing labels: false positives on background whose features resemble labelled objects.

The second stage turns each region into one vector, the input of its class layer. A bank holds the vectors of labelled
regions of training images. A detection on background is probably an object without a label where the bank's nearest
regions have its class, and are as similar as labelled regions of that class are to each other.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from faster_rcnn import stages as stage
from faster_rcnn.data.records import ImageRecord
from faster_rcnn.errors import ImageError
from faster_rcnn.explanation.causes.false_positives import FalseKind, FalsePositive
from faster_rcnn.explanation.dataset.schedule import Schedule, one_by_one
from faster_rcnn.explanation.record.lives import Corners, corners
from faster_rcnn.explanation.record.recording import PartRecording, Recording
from faster_rcnn.images import rescale_boxes, size_of
from faster_rcnn.inference.inputs import to_pixels
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.model import FasterRCNN
from faster_rcnn.ops.boxes import clip
from faster_rcnn.structures import Detections
from faster_rcnn.system.progress import counted

SHOWN = 3
"""Number of nearest training regions that are named."""
QUANTILE = 0.25
"""Share of the labelled regions of a class that are less similar to others of it than a missing label must be."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A labelled region of a training image whose features resemble those of a detection."""

    image: str
    """Path of the training image."""
    label: int
    box: Corners
    """In pixels of the training image."""
    similarity: float
    """Cosine of the two region vectors, less the mean of the bank, -1..1."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelBank:
    """Vectors of labelled regions of training images; ``bank_of`` makes it."""

    vectors: Float[Tensor, "regions hidden"]
    """Less their mean, of length 1."""
    mean: Float[Tensor, " hidden"]
    labels: tuple[int, ...]
    images: tuple[str, ...]
    """Path of the image of each region."""
    boxes: tuple[Corners, ...]
    limits: Mapping[int, float]
    """By class, the similarity that a missing label must have to a region of its class."""

    def nearest(self, vector: Float[Tensor, " hidden"]) -> tuple[Neighbour, ...]:
        """The regions that resemble a region most, the most similar first."""
        similar = self.vectors @ normalize(vector - self.mean, dim=0)  # (regions,)
        best = similar.topk(min(SHOWN, len(similar)))
        return tuple(
            Neighbour(self.images[index], self.labels[index], self.boxes[index], value)
            for value, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        )

    def resembles(self, label: int, neighbours: Sequence[Neighbour]) -> bool:
        """Whether a detection of this class with these nearest regions is probably a missing label."""
        own = [each for each in neighbours if each.label == label]
        most = 2 * len(own) > len(neighbours)
        return bool(own) and most and neighbours[0].label == label and own[0].similarity >= self.limits[label]


def bank_of(predictor: Predictor, records: Sequence[ImageRecord], in_order: Schedule = one_by_one) -> LabelBank | None:
    """The vectors of the truths of training images; ``None`` where there is no truth.

    Images that cannot be decoded are left out with a warning; truths that are ignored are left out, too.

    Args:
        predictor: a predictor of a detector with a second stage.
        records: the images, with the labels of the detector.
        in_order: applies the work to every image, in their order.
    """
    regions: list[tuple[int, str, Corners]] = []
    vectors = []
    outcomes = in_order(records, partial(_vectors_of_image, predictor))
    label = "training images, for missing labels"
    for record, found in zip(records, counted(outcomes, label, len(records)), strict=True):
        if isinstance(found, ImageError):
            _LOG.warning("%s; it gives no labelled regions", found)
            continue
        truth, wanted = record.truth, torch.nonzero(~record.truth.ignored)[:, 0].tolist()
        regions += [(int(truth.labels[index]), str(record.path), corners(truth.boxes[index])) for index in wanted]
        vectors.append(found)
    if not regions:
        return None
    return made_bank(torch.cat(vectors), *zip(*regions, strict=True))


def made_bank(
    vectors: Float[Tensor, "regions hidden"], labels: Sequence[int], images: Sequence[str], boxes: Sequence[Corners]
) -> LabelBank:
    """A bank of region vectors; each class's limit follows from its regions' similarities to those of other images."""
    mean = vectors.mean(dim=0)
    centred = normalize(vectors - mean, dim=1)
    limits = {label: _limit(centred, label, labels, images) for label in set(labels)}
    return LabelBank(centred, mean, tuple(labels), tuple(images), tuple(boxes), limits)


def _limit(vectors: Float[Tensor, "regions hidden"], label: int, labels: Sequence[int], images: Sequence[str]) -> float:
    """The similarity to the nearest region of the class in another image that all but a quarter of its regions have.

    Without two images that show the class nothing is similar enough.
    """
    own = [index for index, each in enumerate(labels) if each == label]
    numbers = {image: number for number, image in enumerate(images)}
    image = torch.tensor([numbers[images[index]] for index in own])
    similar = vectors[own] @ vectors[own].T  # (O, O)
    nearest = similar.masked_fill(image[:, None] == image, -2).amax(dim=1)  # (O,)
    known = nearest[nearest > -2]
    return float(known.quantile(QUANTILE)) if len(known) else 2.0


def with_missing_labels(
    recording: Recording, detections: Detections, false: Sequence[FalsePositive], bank: LabelBank
) -> tuple[tuple[FalsePositive, ...], dict[int, tuple[Neighbour, ...]]]:
    """Name the false positives on background that are probably missing labels.

    Returns all false positives, and the nearest training regions of each missing label by the index of its detection.
    """
    suspects = defaultdict[int, list[FalsePositive]](list)
    for each in false:
        if each.kind == FalseKind.BACKGROUND:
            suspects[0 if detections.parts is None else int(detections.parts[each.detection])].append(each)
    neighbours: dict[int, tuple[Neighbour, ...]] = {}
    for part, group in suspects.items():
        boxes = detections.boxes[[each.detection for each in group]]
        vectors = _vectors_of_part(recording, recording.parts[part], boxes)
        nearest = {each: bank.nearest(vector) for each, vector in zip(group, vectors, strict=True)}
        neighbours |= {each.detection: near for each, near in nearest.items() if bank.resembles(each.label, near)}
    named = (replace(each, kind=FalseKind.MISSING_LABEL) if each.detection in neighbours else each for each in false)
    return tuple(named), neighbours


def _vectors_of_part(
    recording: Recording, part: PartRecording, boxes: Float[Tensor, "boxes 4"]
) -> Float[Tensor, "boxes hidden"]:
    """The vectors of boxes, in pixels of the image, by the recorded features of a part."""
    with recording.predictor.detector.computing():
        placed = clip(part.in_part(boxes), part.resized).to(part.images.pixels.device)
        return _region_vectors(part.network, list(part.features), placed)


def _vectors_of_image(predictor: Predictor, record: ImageRecord) -> Float[Tensor, "truths hidden"] | ImageError:
    """The vectors of the truths of an image file, or the reason why it cannot be used.

    Only the features and the head of regions are computed.
    """
    try:
        pixels = to_pixels(record.path, str(record.path), predictor.config.data.max_pixels)  # in one of two threads
    except ImageError as error:
        return error
    detector, boxes = predictor.detector, record.truth.boxes[~record.truth.ignored]
    with detector.computing():
        network = detector.network_for(pixels)
        with stage.evaluating(network):
            [group] = network.preparation.groups([pixels.to(detector.device)])
            features = stage.until(network.stages(group.images), stage.FEATURES)
            [size] = group.images.sizes
            placed = clip(rescale_boxes(boxes, size_of(pixels), size), size).to(detector.device)
            return _region_vectors(network, features, placed)


def _region_vectors(
    network: FasterRCNN, features: list[Tensor], boxes: Float[Tensor, "boxes 4"]
) -> Float[Tensor, "boxes hidden"]:
    """The inputs of the class layer for boxes in the frame of the resized image, on the CPU."""
    vectors: Tensor = network.roi.head(network.roi.pool(features, [boxes]))
    return vectors.float().cpu()
