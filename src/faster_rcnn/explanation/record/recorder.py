"""Recording: the detector predicts an image as it always does, and every value of its passes is kept.

There is no second implementation of a stage: ``RecordingDetector`` takes the place of the detector in a ``Predictor``,
runs the same ``FasterRCNN.stages`` and keeps what it yields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from jaxtyping import UInt8
from torch import Tensor

from faster_rcnn import stages as stage
from faster_rcnn.explanation.record.recording import FirstStage, PartRecording, Recording, SecondStage
from faster_rcnn.images import rescale_detections, size_of
from faster_rcnn.inference.inputs import AnyImage
from faster_rcnn.inference.limits import refuse_share
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import PreparedDetector
from faster_rcnn.inference.result import ordinary
from faster_rcnn.inference.tiles import Tile
from faster_rcnn.model import FasterRCNN
from faster_rcnn.preparation import Group
from faster_rcnn.roi.detections import DetectionFilter
from faster_rcnn.structures import Detections, GroundTruth, ImageBatch, Proposals, RoiOutput, RpnOutput


@dataclass(frozen=True, slots=True, eq=False)
class RecordingDetector(PreparedDetector):
    """A detector that detects as ``PreparedDetector`` does, and adds each pass to ``passes``."""

    passes: list[PartRecording]
    """One for each image or tile, in the order in which they were given; their place begins at (0, 0)."""

    @staticmethod
    def of(detector: PreparedDetector) -> RecordingDetector:
        """The same detector, with nothing recorded so far."""
        values = {field.name: getattr(detector, field.name) for field in fields(PreparedDetector)}
        return RecordingDetector(**values, passes=[])

    def detect(
        self,
        images: Sequence[UInt8[Tensor, "3 _ _"]],
        proposals: Sequence[Proposals] = (),
        detection_filter: DetectionFilter | None = None,
    ) -> list[Detections]:
        """The detections of each image as ``PreparedDetector.detect`` gives them, in the same batches."""
        parts: dict[int, PartRecording] = {}
        with self.computing():
            given = [each.to(self.device) for each in proposals] or None
            network = self.network_for(images[0]) if len(images) == 1 else self.network
            with stage.evaluating(network):
                for group in network.preparation.groups([each.to(self.device) for each in images]):
                    recorded = _recorded(network, group, group.proposals(given), detection_filter)
                    parts |= zip(group.indices, recorded, strict=True)
            passes = [parts[index] for index in range(len(images))]
            found = [rescale_detections(part.detections, part.resized, part.size) for part in passes]
        self.passes.extend(passes)
        return [ordinary(each) for each in found]


def record(predictor: Predictor, image: AnyImage, conf: float = 0.5, truth: GroundTruth | None = None) -> Recording:
    """Predict one image, and keep everything that the passes over it computed.

    Args:
        predictor: predicts; the recorded detections are bit for bit those of its ``predict_one``.
        image: the image.
        conf: lowest score that counts as reported. With tiles, detections below it take no part in merging, as in
            every prediction.
        truth: in pixels of the upright image, with the labels of the detector.

    Raises ``ImageError`` and ``OptionError`` as ``Predictor.predict_one``.
    """
    refuse_share("conf", conf, "scores are")
    recorder = RecordingDetector.of(predictor.detector)
    prediction = predictor.replaced(detector=recorder).predict_with_pixels(
        image, 0.0 if predictor.tiling is None else conf
    )
    size = size_of(prediction.pixels)
    places = [Tile(0, 0, size.width, size.height)]
    if len(recorder.passes) > 1 and predictor.tiling is not None:
        places += predictor.tiling.tiles(size)
    parts = tuple(replace(part, place=place) for part, place in zip(recorder.passes, places, strict=True))
    return Recording(predictor, image, prediction.pixels, parts, prediction.result.detections, conf, truth)


def _recorded(
    network: FasterRCNN, group: Group, external: list[Proposals] | None, rule: DetectionFilter | None
) -> list[PartRecording]:
    """Run the images of one batch through all stages, and keep the values of each image."""
    kept = dict(network.stages(group.images, external, rule))
    proposals, detections = kept[stage.PROPOSALS], kept[stage.DETECTIONS]
    firsts: list[FirstStage | None] = [None] * len(proposals)
    if stage.RPN_OUTPUT in kept:
        anchors, output = network.rpn.anchors(kept[stage.FEATURES], group.images), kept[stage.RPN_OUTPUT]
        each = zip(output.logits.split(1), output.deltas.split(1), strict=True)
        firsts = [FirstStage(anchors, RpnOutput(logits, deltas)) for logits, deltas in each]
    seconds: list[SecondStage | None] = [None] * len(proposals)
    if stage.ROI_OUTPUT in kept:
        counts = [len(one.scores) for one in proposals]
        used, output = rule or network.roi.detection_filter, kept[stage.ROI_OUTPUT]
        tensors = (kept[stage.POOLED], output.logits, output.deltas)
        rows = zip(*(tensor.split(counts) for tensor in tensors), strict=True)
        seconds = [SecondStage(pooled, RoiOutput(logits, deltas), used) for pooled, logits, deltas in rows]
    return [
        PartRecording(
            network=network,
            place=Tile(0, 0, size.width, size.height),
            images=ImageBatch(group.images.pixels[index : index + 1], group.images.sizes[index : index + 1]),
            body=tuple(level[index : index + 1] for level in kept[stage.BODY]),
            features=tuple(level[index : index + 1] for level in kept[stage.FEATURES]),
            first=firsts[index],
            proposals=proposals[index],
            second=seconds[index],
            detections=detections[index],
        )
        for index, size in enumerate(group.originals)
    ]
