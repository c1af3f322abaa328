"""An exported file as a detector: the same calls, computed by ONNX Runtime, OpenVINO or a program of torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor

from faster_rcnn.building import build_without_values
from faster_rcnn.errors import ImageError, OptionError
from faster_rcnn.images import rescale_detections, size_of
from faster_rcnn.inference.postprocessing import detections_of
from faster_rcnn.inference.prepared import PreparedDetector
from faster_rcnn.inference.sessions import OpenedFile, open_exported
from faster_rcnn.model import FasterRCNN
from faster_rcnn.roi.detections import DetectionFilter
from faster_rcnn.stages import StageValue
from faster_rcnn.structures import Detections, ImageBatch, ImageSize, Proposals, TrainingBatch
from faster_rcnn.system.devices import choose_device
from faster_rcnn.weights.exported import MAX_BATCH


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Images that enter the graph together."""

    indices: tuple[int, ...]
    """Index of each image in the caller's list."""
    pixels: Tensor
    """(B, 3, H, W): uint8, or prepared floats."""
    sizes: tuple[ImageSize, ...]
    """The frames of the graph's boxes."""
    originals: tuple[ImageSize, ...]
    """The sizes of the images that were given."""


class ExportedNetwork(FasterRCNN):
    """A detector whose pass is the graph of an exported file; its own layers have no values."""

    def __init__(self, empty: FasterRCNN, opened: OpenedFile) -> None:
        """``empty`` is a detector of the file's settings without values."""
        super().__init__(
            empty.backbone, empty.rpn, empty.roi, empty.preparation, empty.training_filter, empty.inference_filter
        )
        self.opened = opened

    def detect(
        self,
        images: Sequence[Tensor],
        proposals: Sequence[Proposals] | None = None,
        rule: DetectionFilter | None = None,
    ) -> list[Detections]:
        """Detections as those of ``FasterRCNN.detect``; the images are uint8.

        A graph with NMS computes by its own filter; of another ``rule`` it can only leave out classes.

        Raises:
            OptionError: there are external proposals, or another rule of NMS than the graph's.
            ImageError: an image has another size than the graph takes.
        """
        if proposals is not None:
            self._refuse("external proposals")
        if rule is not None and self.opened.exported.facts.nms:
            self._refuse_other_nms(rule)
        found: dict[int, Detections] = {}
        for part in self._parts(images):
            outputs = zip(*self._run(part), strict=True)
            for index, size, before, one in zip(part.indices, part.sizes, part.originals, outputs, strict=True):
                found[index] = rescale_detections(self._detections(one, rule), size, before)
        return [found[index] for index in range(len(images))]

    def stages(
        self, images: ImageBatch, external: Sequence[Proposals] | None = None, rule: DetectionFilter | None = None
    ) -> Iterator[StageValue]:
        """Raise ``OptionError``: the graph has no stages."""
        self._refuse("single stages")

    def propose(self, images: Sequence[Tensor]) -> list[Proposals]:
        """Raise ``OptionError``: the graph does not give its proposals."""
        self._refuse("proposals")

    def validate(self, batch: TrainingBatch) -> NoReturn:
        """Raise ``OptionError``: the graph has no losses."""
        self._refuse("losses")

    def _parts(self, images: Sequence[Tensor]) -> Iterator[_Part]:
        """The images that one call can take: of one size, or of one padded size where they are prepared before."""
        facts = self.opened.exported.facts
        for part in _of_one_size(images) if facts.prepares else self._of_one_padded_size(images):
            size = size_of(part.pixels)
            if facts.size not in (None, size):
                raise ImageError(
                    f"an image of {size.width}x{size.height} pixels: {self.opened.path} takes {facts.size.width}x"
                    f"{facts.size.height} alone; resize it, or export with --size dynamic --preprocess none",
                    code="E120",
                )
            if facts.size is None:
                self._refuse_tiny(self.preparation.padded_size(part.originals[0]), part.originals[0])
            yield part

    def _refuse_tiny(self, padded: ImageSize, original: ImageSize) -> None:
        least = smallest_side(self)
        if min(padded) < least:
            raise ImageError(
                f"an image of {original.width}x{original.height} pixels is {padded.width}x{padded.height} when resized "
                f"and padded, and {self.opened.path} takes no side below {least}; use the model file for it",
                code="E120",
            )

    def _of_one_padded_size(self, images: Sequence[Tensor]) -> Iterator[_Part]:
        for group in self.preparation.groups(images):
            yield _Part(group.indices, group.images.pixels, group.images.sizes, group.originals)

    def _run(self, part: _Part) -> list[Tensor]:
        """Outputs for any number of images, in as many calls as the graph needs.

        A graph for a fixed number of images gets images of zeros beside them.
        """
        facts, total = self.opened.exported.facts, len(part.pixels)
        count = facts.batch or MAX_BATCH
        outputs = []
        for start in range(0, total, count):
            own = part.pixels[start : start + count]
            spare = count - len(own) if facts.batch else 0
            images = torch.cat((own, own.new_zeros(spare, *own.shape[1:]))).contiguous()
            sizes = torch.tensor([*part.sizes[start : start + count], *part.sizes[:1] * spare])
            given = (images,) if facts.prepares else (images, sizes)
            outputs.append([each[: len(own)] for each in self.opened.session(*given)])
        return [torch.cat(each) for each in zip(*outputs, strict=True)]

    def _detections(self, outputs: Sequence[Tensor], rule: DetectionFilter | None) -> Detections:
        """Detections of one image from its padded outputs, or from its candidates."""
        rule = rule or self.roi.detection_filter
        if not self.opened.exported.facts.nms:
            return _selected(outputs[0], outputs[1], rule)
        boxes, scores, labels, num = outputs
        found = Detections(boxes, scores, labels.long())[: int(num)]
        return found[~torch.isin(found.labels, torch.tensor(rule.holes, dtype=torch.long))]

    def _refuse_other_nms(self, rule: DetectionFilter) -> None:
        own = self.roi.detection_filter
        if replace(rule, holes=own.holes) != own:
            raise OptionError(
                f"{self.opened.path} has its NMS in its graph, which takes no other threshold or rule; export it with "
                "--nms none",
                code="E125",
            )

    def _refuse(self, what: str) -> NoReturn:
        raise OptionError(f"{self.opened.path} is an exported file, which has no {what}; name the model file instead")


@dataclass(frozen=True, slots=True, eq=False)
class ExportedDetector(PreparedDetector):
    """An exported file that is ready for inference."""

    @property
    def runs_two_images(self) -> bool:
        """Never: the runtime has threads of its own for one image."""
        return False

    @property
    def batch(self) -> int | None:
        """The number of images of each call; ``None`` for any number."""
        assert isinstance(self.network, ExportedNetwork)
        return self.network.opened.exported.facts.batch


def exported_detector(
    path: Path, precision: str = "auto", device: str = "auto", settings: str | Sequence[str] | None = None
) -> ExportedDetector:
    """Open an exported file as a detector.

    Raises:
        OptionError: the device is no CPU (E126), the precision is another one than that of the file, or there are
            settings, which the graph holds already (E125).
        ModelFileError: the file is damaged, or is none of ours (E123).
        MissingExtraError: its runtime is not installed.
    """
    place = choose_device("cpu" if device == "auto" else device)
    if place.type != "cpu":
        raise OptionError(f"--device {device}: exported files run on a CPU here; leave the option out", code="E126")
    if settings:
        raise OptionError(f"--set: {path} has its settings in its graph; export the detector with others", code="E125")
    return detector_of(open_exported(path), precision)


def detector_of(opened: OpenedFile, precision: str = "auto") -> ExportedDetector:
    """The detector of a file that is open; raises ``OptionError`` (E125) for another precision than the file's."""
    path = opened.path
    header, own = opened.exported.header, opened.exported.facts.precision
    if precision not in ("auto", own):
        raise OptionError(f"--precision {precision}: {path} computes in {own}; leave the option out", code="E125")
    empty = build_without_values(header.config, len(header.classes), header.classes.holes)
    network = ExportedNetwork(empty, opened).eval()
    kind = getattr(torch, own)
    return ExportedDetector(
        network,
        network,
        None,
        header.classes,
        header.config,
        torch.device("cpu"),
        kind,
        torch.float32,
        exact=False,
        thresholds=header.thresholds,
    )


def smallest_side(model: FasterRCNN) -> int:
    """Smallest padded side of the images of a file for any size: every feature map has more than one row and column.

    torch, which traces the file's graph, takes a side of 1 for one that is repeated.
    """
    coarsest, multiple = max(model.backbone.strides), model.preparation.multiple
    return int(coarsest // multiple + 1) * multiple


def _of_one_size(images: Sequence[Tensor]) -> Iterator[_Part]:
    indices_of_size: dict[ImageSize, list[int]] = {}
    for index, image in enumerate(images):
        indices_of_size.setdefault(size_of(image), []).append(index)
    for size, indices in indices_of_size.items():
        sizes = (size,) * len(indices)
        yield _Part(tuple(indices), torch.stack([images[index] for index in indices]), sizes, sizes)


def _selected(boxes: Tensor, scores: Tensor, rule: DetectionFilter) -> Detections:
    """Detections of candidates, by the rule of the detector or a user."""
    scores = scores.clone()
    scores[:, list(rule.holes)] = -1
    found = detections_of(boxes.numpy(), scores.numpy(), rule.nms_iou, rule.max_detections, rule.across_classes)
    return Detections(torch.from_numpy(found[0]), torch.from_numpy(found[1]), torch.from_numpy(found[2]))
