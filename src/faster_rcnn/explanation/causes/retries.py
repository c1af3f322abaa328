"""Retries: what the detector reports for a recorded image after one setting of inference changes.

The features and the output of the first stage are in the record. Where a filter changes, the detector's own selections
run on them again, and the second stage on the proposals that are then left. Another size of the image and other tiles
need one more pass of the detector.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from faster_rcnn.building import for_inference_with
from faster_rcnn.explanation.record.recording import PartRecording, Recording
from faster_rcnn.images import rescale_detections
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.result import ordinary
from faster_rcnn.inference.tiles import DEFAULT_OVERLAP, Tiling
from faster_rcnn.settings.inference import with_inference_settings
from faster_rcnn.stages import evaluating
from faster_rcnn.structures import Detections

CONF, TILE = "conf", "tile"
"""Options of ``faster-rcnn predict`` that are no settings."""


@dataclass(frozen=True, slots=True)
class Change:
    """One setting of inference, or the option ``conf`` or ``tile``, with another value."""

    setting: str
    """``section.key``, ``conf`` or ``tile``."""
    value: float
    beside: tuple[str, ...] = ()
    """Settings that change with it, as ``section.key=value``: ``image.long_side`` with ``image.short_side``."""

    @property
    def settings(self) -> tuple[str, ...]:
        """The settings of ``Detector.load`` that do the same; none for ``conf`` and ``tile``, which are arguments."""
        return () if self.setting in (CONF, TILE) else (f"{self.setting}={_written(self.value)}", *self.beside)

    @property
    def words(self) -> str:
        """The options of ``faster-rcnn predict`` that do the same."""
        options = {CONF: "--conf", TILE: "--tile", "roi.nms_iou": "--iou"}
        if self.setting in options:
            return f"{options[self.setting]} {_written(self.value)}"
        return f"--set {' '.join(self.settings)}"


class Retries:
    """The reported detections of one recorded image after each of some changes; each change is computed once."""

    def __init__(self, recording: Recording) -> None:
        """The image, and the score from which on detections are reported, are those of the recording."""
        self.recording = recording
        self._reported: dict[Change, Detections] = {}

    def reported(self, change: Change) -> Detections:
        """The detections that ``faster-rcnn predict`` reports after a change, best first, in pixels of the image.

        Raises ``OptionError`` for a value that does not fit the setting, and for tiles where the detector uses external
        proposals.
        """
        if change not in self._reported:
            self._reported[change] = self._computed(change)
        return self._reported[change]

    def _computed(self, change: Change) -> Detections:
        own = self.recording.predictor
        if change.setting == CONF:
            return self._from_record(own, change.value)
        predictor = changed(own, change)
        if change.setting == TILE or change.setting.startswith("image."):
            return self._by_another_pass(predictor)
        return self._from_record(predictor, self.recording.conf)

    def _by_another_pass(self, predictor: Predictor) -> Detections:
        # External proposals are found by the image as it was given; otherwise its pixels are decoded already.
        image = self.recording.pixels if predictor.proposals is None else self.recording.image
        return predictor.predict_one(image, self.recording.conf).detections

    def _from_record(self, predictor: Predictor, conf: float) -> Detections:
        """Select again, by the filters of a predictor, what its detector computed for each part."""
        parts = [(part.place, _detections_again(part, predictor)) for part in self.recording.parts]
        found = parts[0][1] if len(parts) == 1 else predictor.merged(parts, self.recording.size, conf)
        return found.above(conf)


def changed(predictor: Predictor, change: Change) -> Predictor:
    """A predictor of the same detector after a change of a setting or of tiles; ``conf`` is no part of a predictor."""
    if change.setting != TILE:
        return with_settings_of(predictor, change.settings)
    overlap = DEFAULT_OVERLAP if predictor.tiling is None else predictor.tiling.overlap
    return predictor.replaced(tiling=Tiling(int(change.value), overlap))


def with_settings_of(predictor: Predictor, settings: tuple[str, ...]) -> Predictor:
    """A predictor of the same detector, with shared weights, for other settings of inference; it is not compiled."""
    detector = predictor.detector
    config = with_inference_settings(detector.config, settings)
    model, network = (for_inference_with(config, each) for each in (detector.model, detector.network))
    other = replace(detector, model=model, network=network, config=config, compiler=None)
    # The option ``iou`` of the recorded prediction wins over the setting, which now has another value.
    names = {text.partition("=")[0] for text in settings}
    choice = replace(predictor.choice, iou=None) if "roi.nms_iou" in names else predictor.choice
    return predictor.replaced(detector=other, choice=choice)


def _detections_again(part: PartRecording, predictor: Predictor) -> Detections:
    """The detections of one part by the filters of a predictor, in pixels of the image."""
    with predictor.detector.computing():
        found = _selected(part, predictor)
        found = ordinary(rescale_detections(found, part.resized, part.size))
    shift = found.boxes.new_tensor([part.place.x1, part.place.y1, part.place.x1, part.place.y1])
    return replace(found, boxes=found.boxes + shift)


def _selected(part: PartRecording, predictor: Predictor) -> Detections:
    """The detections of one part by the filters of a predictor, in the frame of the resized part."""
    network, proposals, sizes = for_inference_with(predictor.config, part.network), part.proposals, part.images.sizes
    is_same = part.first is None or network.inference_filter == part.network.inference_filter
    if not is_same and part.first is not None:
        [proposals] = network.rpn.select(part.first.output, part.first.anchors, sizes, network.inference_filter)
    if part.second is None:
        return Detections.of_objects(proposals)
    output = part.second.output
    if not is_same:
        with evaluating(network):
            output = network.roi.outputs(network.roi.pool(list(part.features), [proposals.boxes]))
    [found] = network.roi.select(output, [proposals], sizes, predictor.detection_filter)
    return found


def _written(value: float) -> str:
    """An integer without a point, any other number with six digits at most."""
    return str(int(value)) if value == int(value) else f"{value:.6g}"
