"""An exported file is compared with the detector that it was made of, image by image, in the runtime that it is for.

NMS and the choice of the best anchors are decisions: where two boxes overlap by just the threshold, or two scores are
equal, rounding decides, and another box stays. On a blank image most anchors have equal scores. So the detector itself
computes each image twice, the second time with noise of the size of rounding errors in its pixels. Where it finds the
same, the file must find the same; otherwise the image is *undecided*, and only the detections that agree are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from faster_rcnn.images import rescale_detections, size_of
from faster_rcnn.inference.exported import ExportedDetector
from faster_rcnn.inference.loading import ready_detector
from faster_rcnn.inference.prepared import PreparedDetector
from faster_rcnn.inference.result import ordinary
from faster_rcnn.stages import DETECTIONS, until
from faster_rcnn.structures import Detections, ImageSize
from faster_rcnn.weights.model_file import LoadedModel

MAX_BOX = 0.01
"""Largest difference of a coordinate, in pixels of the image."""
MAX_SCORE = 1e-4
"""Largest difference of a score."""
NEAR_BOX, NEAR_SCORE = 1.0, 0.01
"""Differences up to which two boxes of a label are taken for the same detection."""
BATCHES = (1, 2, 5)
"""Numbers of images in a call, where the file takes any number."""
GIVEN = 4
"""Images beside the blank one and the noise: those that are given, or made-up pictures."""
NOISE = 3e-6
"""Spread of the noise, in normalized pixels: as large as the rounding errors of float32 in the first layers."""
CELL = 40
"""Pixels from one random colour of a made-up picture to the next."""


@dataclass(slots=True)
class Differences:
    """What the comparison of many images found."""

    box: float = 0.0
    """Worst difference of a coordinate, in pixels."""
    score: float = 0.0
    compared: int = 0
    """Detections that were compared."""
    missing: int = 0
    """Detections of one side that the other lacks, in images that are decided."""
    undecided: int = 0
    """Images where rounding decides what our detector itself finds."""
    images: int = 0
    calls: set[tuple[int, ImageSize]] = field(default_factory=set)
    """Numbers of images and sizes of all calls."""

    @property
    def is_good(self) -> bool:
        """Whether the file is as good as the detector."""
        return self.box <= MAX_BOX and self.score <= MAX_SCORE and self.missing == 0

    def __str__(self) -> str:
        """One line for a user."""
        batches = ", ".join(str(each) for each in sorted({batch for batch, _ in self.calls}))
        sizes = ", ".join(f"{each.height}x{each.width}" for each in sorted({size for _, size in self.calls}))
        line = (
            f"{self.images} images in batches of {batches}, {sizes} pixels, {self.compared} detections: worst box "
            f"difference {self.box:.2g} px, worst score difference {self.score:.2g}"
        )
        if self.missing:
            line += f", {self.missing} detections on one side alone"
        if self.undecided:
            line += f"; {self.undecided} images where rounding decides which of equal boxes our own detector keeps"
        return line


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """What our detector finds in an image."""

    detections: Detections
    is_decided: bool
    """Whether it finds the same with noise as large as rounding errors."""


def compared_with(
    loaded: LoadedModel, exported: ExportedDetector, sizes: Sequence[ImageSize], given: Sequence[Tensor] = ()
) -> Differences:
    """Compare a file with its detector on a blank image, noise and ``given`` or made-up ones, in several batches."""
    exact, found = ready_detector(loaded, "float32", "cpu"), Differences()
    for size in sizes:
        images = images_of(size, given)
        expected = expected_of(exact, images)
        found.undecided += sum(not each.is_decided for each in expected)
        for count in batches_of(exported):
            compare_batches(found, exported, images, expected, count)
    return found


def batches_of(exported: ExportedDetector) -> Sequence[int]:
    """Numbers of images in the calls of a comparison: the one that a file takes, or several."""
    return (exported.batch,) if exported.batch else BATCHES


def expected_of(exact: PreparedDetector, images: Sequence[UInt8[Tensor, "3 _ _"]]) -> list[Expected]:
    """What a detector in float32 finds in images, and whether rounding decides there."""
    found = []
    for each in images:
        [detections] = exact.detect([each])
        found.append(Expected(detections, not _unequal(detections, _with_noise(exact, each))))
    return found


def compare_batches(
    found: Differences,
    exported: ExportedDetector,
    images: Sequence[UInt8[Tensor, "3 height width"]],
    expected: Sequence[Expected],
    count: int,
) -> None:
    """Add the differences of a file's detections in images of one size, ``count`` in each call, to ``found``."""
    found.calls.add((count, size_of(images[0])))
    of_file = in_batches(exported, images, count)
    for one, other in zip(of_file, expected, strict=True):
        compare_detections(found, one, other.detections, is_decided=other.is_decided)


def in_batches(exported: ExportedDetector, images: Sequence[Tensor], count: int) -> list[Detections]:
    """The detections of a file for all images, ``count`` of them in each call."""
    starts = range(0, len(images), count)
    return [found for start in starts for found in exported.detect(images[start : start + count])]


def images_of(size: ImageSize, given: Sequence[Tensor]) -> list[UInt8[Tensor, "3 height width"]]:
    """A blank image, noise, and the given images at this size; without them smooth random colours."""
    generator = torch.Generator().manual_seed(0)
    blank = torch.full((3, *size), 127, dtype=torch.uint8)
    noise = torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=generator)
    cells = [-(-side // CELL) + 1 for side in size]
    smooth = [torch.rand(3, *cells, generator=generator) * 255 for _ in range(GIVEN)]
    return [blank, noise, *(at_size(each.float(), size) for each in (given[:GIVEN] or smooth))]


def _with_noise(detector: PreparedDetector, image: UInt8[Tensor, "3 height width"]) -> Detections:
    """Detections of an image whose prepared pixels have a little noise."""
    with detector.computing():
        [group] = detector.model.preparation.groups([image])
        pixels = group.images.pixels
        noise = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0)) * NOISE
        stages = detector.model.stages(replace(group.images, pixels=pixels + noise))
        [found] = group.in_originals(until(stages, DETECTIONS), rescale_detections).values()
    return ordinary(found)


def at_size(pixels: Tensor, size: ImageSize) -> UInt8[Tensor, "3 height width"]:
    """Pixels (3, H, W), 0..255 in floats, resized and rounded."""
    resized = interpolate(pixels[None], size=tuple(size), mode="bilinear", align_corners=False)[0]
    return resized.round().clamp(0, 255).to(torch.uint8)


def compare_detections(found: Differences, one: Detections, other: Detections, *, is_decided: bool) -> None:
    """Add the differences of two results of one image to ``found``."""
    box, score, matched = _matched(one, other)
    found.images += 1
    found.compared += matched
    found.box, found.score = max(found.box, box), max(found.score, score)
    if is_decided:
        found.missing += len(one) + len(other) - 2 * matched


def _unequal(one: Detections, other: Detections) -> bool:
    box, score, matched = _matched(one, other)
    return box > MAX_BOX or score > MAX_SCORE or matched < max(len(one), len(other))


def _matched(one: Detections, other: Detections) -> tuple[float, float, int]:
    """Worst differences of the detections that both have, best first, and their number."""
    free = torch.ones(len(other), dtype=torch.bool)
    worst_box, worst_score, matched = 0.0, 0.0, 0
    for box, score, label in zip(one.boxes, one.scores, one.labels, strict=True):
        apart = (other.boxes - box).abs().amax(dim=1) if len(other) else torch.zeros(0)
        scores = (other.scores - score).abs()
        near = free & (other.labels == label) & (apart <= NEAR_BOX) & (scores <= NEAR_SCORE)
        if not near.any():
            continue
        best = int(torch.where(near, apart + scores, torch.inf).argmin())
        free[best] = False
        worst_box, worst_score = max(worst_box, float(apart[best])), max(worst_score, float(scores[best]))
        matched += 1
    return worst_box, worst_score, matched
