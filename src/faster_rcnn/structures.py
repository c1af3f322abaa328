"""The values that flow through the detector, in order of flow: the glossary of the project.

Four kinds of boxes, each under its own name: ground truth (what an annotator drew), anchors (fixed shapes at
every feature), proposals (anchors moved by the first stage) and detections (proposals moved by the second stage,
the output). All are float32 ``(x1, y1, x2, y2)`` in continuous pixels, width = x2 - x1.

A box carries its origin: a proposal has the index of its anchor, a detection the index of its proposal.

Values are made once and never changed. K is the number of classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, device

_V = TypeVar("_V", bound="_Value")


class ImageSize(NamedTuple):
    """Height and width in pixels; a bare pair of numbers never crosses a function border."""

    height: int
    width: int


def largest_of(sizes: Sequence[ImageSize]) -> ImageSize:
    """The smallest size that holds images of all these sizes."""
    return ImageSize(max(size.height for size in sizes), max(size.width for size in sizes))


class _Value:
    """Applies a method to every tensor field of a frozen dataclass at once."""

    __slots__ = ()

    def to(self: _V, device: device | str) -> _V:
        """The same value with its tensors on ``device``."""
        # Without blocking only towards an accelerator: nothing would wait until a copy to the CPU has arrived.
        return self._each("to", device, non_blocking=torch.device(device).type != "cpu")

    def pin_memory(self: _V) -> _V:
        """The same value in page-locked memory; called by the data loader."""
        return self._each("pin_memory")

    def _each(self: _V, method: str, *args: Any, **kwargs: Any) -> _V:
        moved: dict[str, Any] = {}
        for field in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                moved[field.name] = getattr(value, method)(*args, **kwargs)
        return replace(self, **moved)  # type: ignore[type-var]


class _Rows(_Value):
    """Selects the same rows of every tensor field at once."""

    __slots__ = ()

    def __getitem__(self: _V, rows: slice | Tensor) -> _V:
        """The value with some of its rows: a slice, a mask, or indices in any order."""
        return self._each("__getitem__", rows)


@dataclass(frozen=True, slots=True, eq=False)
class ImageBatch(_Value):
    """Images ready for the backbone."""

    pixels: Float[Tensor, "images 3 height width"]
    """Normalised and padded with zeros at the right and bottom."""
    sizes: tuple[ImageSize, ...]
    """Size of each image inside its padding: the frame of anchors, proposals and their clipping."""


@dataclass(frozen=True, slots=True, eq=False)
class GroundTruth(_Rows):
    """The objects that an annotator drew in one image."""

    boxes: Float[Tensor, "truths 4"]
    labels: Int[Tensor, " truths"]
    """0..K-1; background does not exist here."""
    ignored: Bool[Tensor, " truths"]
    """Crowds (COCO) and difficult objects (VOC), which are neither required nor penalized."""


@dataclass(frozen=True, slots=True, eq=False)
class Anchors(_Value):
    """Reference boxes of the first stage, for one feature size (section 3.1.1)."""

    boxes: Float[Tensor, "anchors 4"]
    """Ordered by level, row, column, shape."""
    per_level: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RpnOutput(_Value):
    """Output of the first stage for every anchor of every image of a batch."""

    logits: Float[Tensor, "images anchors outputs"]
    """Objectness before sigmoid (1 output) or softmax (2: no object, object)."""
    deltas: Float[Tensor, "images anchors 4"]
    """From anchor to proposal."""


@dataclass(frozen=True, slots=True, eq=False)
class Matches(_Value):
    """The best truth of each reference box (anchor or proposal), and whether that makes it positive or negative."""

    truth: Int[Tensor, " references"]
    """Index of the truth of highest IoU; 0 where there is no truth at all."""
    overlap: Float[Tensor, " references"]
    """IoU with that truth; 0 where there is none."""
    positive: Bool[Tensor, " references"]
    negative: Bool[Tensor, " references"]
    """A reference that is neither positive nor negative is neutral: it takes no part in training."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample(_Value):
    """A mini-batch of references of one image. Its length is fixed: places that are not filled are marked as unused."""

    indices: Int[Tensor, " sampled"]
    positive: Bool[Tensor, " sampled"]
    used: Bool[Tensor, " sampled"]
    """False where there were too few positives and negatives to fill the place."""


@dataclass(frozen=True, slots=True, eq=False)
class RpnTargets(_Value):
    """Sampled anchors of one image and their targets in the first stage (section 3.1.2)."""

    indices: Int[Tensor, " sampled"]
    """Index of each sampled anchor."""
    positive: Bool[Tensor, " sampled"]
    used: Bool[Tensor, " sampled"]
    deltas: Float[Tensor, "sampled 4"]
    """From anchor to truth; meaningful where positive."""


@dataclass(frozen=True, slots=True, eq=False)
class Proposals(_Rows):
    """Output of the first stage for one image, best first; never carries a gradient."""

    boxes: Float[Tensor, "proposals 4"]
    """In the frame of the resized image."""
    scores: Float[Tensor, " proposals"]
    """Objectness probability, 0..1."""
    anchors: Int[Tensor, " proposals"] | None = None
    """Index of the anchor that each proposal was made from; ``None`` for external proposals, which have no anchor."""


@dataclass(frozen=True, slots=True, eq=False)
class RoiOutput(_Value):
    """Output of the second stage for all proposals of a batch, image by image."""

    logits: Float[Tensor, "proposals outputs"]
    """Classes before softmax: labels 0..K-1, then background."""
    deltas: Float[Tensor, "proposals classes 4"]
    """From proposal to detection, for each class."""


@dataclass(frozen=True, slots=True, eq=False)
class RoiTargets(_Value):
    """Sampled regions of one image and their targets in the second stage."""

    boxes: Float[Tensor, "sampled 4"]
    labels: Int[Tensor, " sampled"]
    """0..K-1, or K for background."""
    positive: Bool[Tensor, " sampled"]
    used: Bool[Tensor, " sampled"]
    deltas: Float[Tensor, "sampled 4"]
    """From region to truth; meaningful where positive."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections(_Rows):
    """Output boxes of one image, best first, in the pixels of the image that was given."""

    boxes: Float[Tensor, "detections 4"]
    scores: Float[Tensor, " detections"]
    labels: Int[Tensor, " detections"]
    """0..K-1."""
    proposals: Int[Tensor, " detections"] | None = None
    """Index of the proposal that each detection was made from, in the order of the proposals of its image or tile.

    ``None`` for detections of other detectors and of files.
    """
    parts: Int[Tensor, " detections"] | None = None
    """Part of an image in tiles that each detection was found in: 0 is the whole image, then its tiles row by row.

    ``None`` where the image was not cut into tiles.
    """

    @staticmethod
    def of_objects(proposals: Proposals) -> Detections:
        """The proposals of a first stage alone as detections of the single class 0, "object"."""
        indices = torch.arange(len(proposals.scores), device=proposals.scores.device)
        return Detections(proposals.boxes, proposals.scores, torch.zeros_like(indices), indices)

    def __len__(self) -> int:
        """Number of detections."""
        return len(self.scores)

    def above(self, score: float | Tensor, max_detections: int | None = None) -> Detections:
        """The detections of at least this score, best first, at most ``max_detections``; a tensor has one per label."""
        if isinstance(score, Tensor):
            return self[self.scores >= score[self.labels]][:max_detections]
        count = int((self.scores >= score).sum())
        return self[: count if max_detections is None else min(count, max_detections)]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingBatch:
    """Images with their ground truth, as the detector trains or is validated on them; one entry of each per image."""

    images: tuple[Tensor, ...]
    """RGB (3, height, width), uint8 or float in 0..1: at training size in training, of any sizes in validation."""
    truths: tuple[GroundTruth, ...]
    """In the pixels of ``images``."""
    seeds: tuple[int, ...]
    """Decides which anchors and regions of an image are sampled."""
    proposals: tuple[Proposals, ...] | None = None
    """External proposals in the pixels of ``images``, which replace those of the first stage."""
    canvas: ImageSize | None = None
    """Size of the largest image of the step that these images are a part of: all parts are padded to it."""

    def __post_init__(self) -> None:
        """Refuse lists of different lengths."""
        counts = [len(each) for each in (self.images, self.truths, self.seeds, self.proposals) if each is not None]
        if len(set(counts)) != 1:
            raise ValueError(f"a batch has {counts} images, truths, seeds and proposals; each image needs one of each")

    def to(self, device: device | str) -> TrainingBatch:
        """The same batch with its tensors on ``device``."""
        images = tuple(image.to(device, non_blocking=True) for image in self.images)
        proposals = None if self.proposals is None else tuple(each.to(device) for each in self.proposals)
        truths = tuple(each.to(device) for each in self.truths)
        return TrainingBatch(images, truths, self.seeds, proposals, self.canvas)

    def parts(self, size: int | None) -> list[TrainingBatch]:
        """The batch in parts of at most ``size`` images, which are padded to the size of the whole batch.

        ``None`` is no limit, and the batch is its only part then, as is a batch that is small enough or empty.
        """
        if size is None or size >= len(self.images):
            return [self]
        canvas = self.canvas or largest_of([ImageSize(*image.shape[-2:]) for image in self.images])
        return [
            TrainingBatch(
                self.images[start : start + size],
                self.truths[start : start + size],
                self.seeds[start : start + size],
                None if self.proposals is None else self.proposals[start : start + size],
                canvas,
            )
            for start in range(0, len(self.images), size)
        ]


@dataclass(frozen=True, slots=True)
class ClassMap:
    """Classes by label 0..K-1, and the ids they have in the data they came from.

    Ids may be any numbers, with holes. A model may have more outputs than classes (COCO's 91): labels whose name is
    ``None`` are holes and are never reported.
    """

    names: tuple[str | None, ...]
    ids: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check that both columns agree and that nothing occurs twice."""
        known = [name for name in self.names if name is not None]
        if len(self.names) != len(self.ids):
            raise ValueError(f"{len(self.names)} class names for {len(self.ids)} class ids")
        if len(set(known)) != len(known) or len(set(self.ids)) != len(self.ids):
            raise ValueError("class names and class ids must each be unique")

    def __len__(self) -> int:
        """K: the number of labels, holes included."""
        return len(self.names)

    def name_of(self, label: int) -> str:
        """Name of a label; holes have none and are given by number."""
        return self.names[label] or f"unused {self.ids[label]}"

    @property
    def holes(self) -> tuple[int, ...]:
        """Labels without a name."""
        return tuple(label for label, name in enumerate(self.names) if name is None)
