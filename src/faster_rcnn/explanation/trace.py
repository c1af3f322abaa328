"""``Trace``: one image explained. ``Detector.trace`` makes it.

The recorded passes are its ``recording``; everything else is computed from them when it is first asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image

from faster_rcnn.data.anchor_fitting import AnchorFit
from faster_rcnn.explanation.causes.advice import Advice, advice_on
from faster_rcnn.explanation.causes.explained import Explained
from faster_rcnn.explanation.causes.kinds import Thresholds, Verdict
from faster_rcnn.explanation.causes.retries import Retries
from faster_rcnn.explanation.causes.truths import GivenTruth, truth_given
from faster_rcnn.explanation.page import page_of, save_page
from faster_rcnn.explanation.plots.anchors import plot_anchors, plot_grid
from faster_rcnn.explanation.plots.assignment import plot_assignment, plot_sample
from faster_rcnn.explanation.plots.choice import chosen_part, part_of_detection
from faster_rcnn.explanation.plots.detections import plot_detections
from faster_rcnn.explanation.plots.features import plot_features
from faster_rcnn.explanation.plots.image import plot_image
from faster_rcnn.explanation.plots.objectness import plot_objectness
from faster_rcnn.explanation.plots.pooling import plot_pooling
from faster_rcnn.explanation.plots.probabilities import plot_probabilities
from faster_rcnn.explanation.plots.proposals import plot_proposals
from faster_rcnn.explanation.plots.transforms import plot_first_transform, plot_second_transform
from faster_rcnn.explanation.record.lives import PartFates
from faster_rcnn.explanation.record.recorder import record
from faster_rcnn.inference.inputs import AnyImage
from faster_rcnn.inference.limits import refuse_share
from faster_rcnn.inference.predictor import Predictor


@dataclass(frozen=True, eq=False)
class Trace(Explained):
    """What both stages of a detector computed for one image, and why.

    The methods ``plot_...`` draw the stages in the paper's order, each as a picture of 1,000 pixels of width, whatever
    the size of the image. ``part`` is 0 for the whole image and then counts its tiles row by row; by default it is the
    part of the best detection. A box that is not named is that of the best detection, else of the best proposal. They
    raise ``OptionError`` (E125) where the detector lacks the stage, the truth is not known, or an index is too large.

    >>> trace = detector.trace("slide.png")  # doctest: +SKIP
    >>> trace.life(0).ious(truth)  # doctest: +SKIP
    """

    @cached_property
    def retries(self) -> Retries:
        """What is reported after changes of settings; the truths of the image share its work."""
        return Retries(self.recording)

    @cached_property
    def advices(self) -> tuple[Advice, ...]:
        """The advice on each of ``verdicts``; raises ``OptionError`` where the truth is not known."""
        return tuple(self.advice(verdict) for verdict in self.verdicts)

    def advice(self, verdict: Verdict, anchors: AnchorFit | None = None, *, thorough: bool = False) -> Advice:
        """Try the settings of inference that could make a missed truth's detection appear; see ``advice_on``.

        ``anchors`` are those that fit the training data, for the advice on a truth that no anchor reaches; ``thorough``
        goes on after the first setting that finds it.
        """
        return advice_on(self, verdict, self.retries, anchors, thorough=thorough)

    def plot_image(self, part: int | None = None) -> Image.Image:
        """The image, and the resized and padded input of the backbone."""
        return plot_image(self.recording, self._fates_of(part))

    def plot_features(self, level: int | None = None, part: int | None = None) -> Image.Image:
        """The feature map of each level over the image, and the most active channels of one level."""
        return plot_features(self.recording, self._fates_of(part), level)

    def plot_anchors(
        self, at: tuple[float, float] | None = None, level: int | None = None, part: int | None = None
    ) -> Image.Image:
        """The k anchors at the position nearest to a point (x, y) of the image, and their receptive field."""
        return plot_anchors(self.recording, self._fates_of(part), at, level)

    def plot_grid(self, part: int | None = None) -> Image.Image:
        """The positions of the anchors of each level."""
        return plot_grid(self.recording, self._fates_of(part))

    def plot_assignment(self, part: int | None = None) -> Image.Image:
        """Positive, neutral and negative anchors, with the histogram of their IoUs; the truth must be known."""
        return plot_assignment(self.recording, self._fates_of(part))

    def plot_sample(self, seed: int = 0, part: int | None = None) -> Image.Image:
        """The mini-batch of anchors that training would choose for a seed; the truth must be known."""
        return plot_sample(self.recording, self._fates_of(part), seed)

    def plot_objectness(self, part: int | None = None) -> Image.Image:
        """The best objectness at each position of each level."""
        return plot_objectness(self.recording, self._fates_of(part))

    def plot_first_transform(self, proposal: int | None = None, part: int | None = None) -> Image.Image:
        """Arrows from anchors to proposals: of one proposal, by its index, or of the best."""
        return plot_first_transform(self.recording, self._fates_of(part), proposal)

    def plot_proposals(self, top: int = 50, part: int | None = None) -> Image.Image:
        """The ``top`` boxes before NMS beside the ``top`` proposals after it."""
        return plot_proposals(self.recording, self._fates_of(part), top)

    def plot_pooling(self, proposal: int | None = None, part: int | None = None) -> Image.Image:
        """RoI pooling beside RoIAlign of one region, by the index of its proposal, on the grid of features."""
        return plot_pooling(self.recording, self._fates_of(part), proposal)

    def plot_probabilities(self, proposal: int | None = None, part: int | None = None) -> Image.Image:
        """The class probabilities of one region, by the index of its proposal."""
        return plot_probabilities(self.recording, self._fates_of(part), proposal)

    def plot_second_transform(self, detection: int | None = None, part: int | None = None) -> Image.Image:
        """Arrows from proposals to output boxes: of one detection, by its index, or of the best."""
        if detection is not None and part is None:
            part = part_of_detection(self.recording, detection)
        return plot_second_transform(self.recording, self._fates_of(part), detection)

    def plot_detections(self) -> Image.Image:
        """The reported detections; where the truth is known, what was found, missed and false, too."""
        if self.truth is None:
            return plot_detections(self.recording)
        return plot_detections(self.recording, self.verdicts, self.false_positives)

    def page(self, model: str = "") -> str:
        """The HTML of one page with all of this, in which a reader can follow each box; ``model`` is named on it."""
        return page_of(self, model, self._sentences_of_advice())

    def save(self, path: str | Path, model: str = "") -> Path:
        """Write ``page`` to a file and return its path; raises ``MachineError`` where it cannot be written."""
        return save_page(self, Path(path), model, self._sentences_of_advice())

    def _sentences_of_advice(self) -> list[str]:
        return [] if self.truth is None else [advice.sentence for advice in self.advices]

    def _fates_of(self, part: int | None) -> PartFates:
        return chosen_part(self.recording, self.fates, part)


def trace_image(
    predictor: Predictor, image: AnyImage, truth: GivenTruth | None, conf: float, iou_threshold: float
) -> Trace:
    """Predict one image with a predictor, and keep what its passes computed.

    Raises:
        ImageError: the image cannot be used.
        OptionError: a threshold is not in 0..1, or the truth cannot be used.
    """
    refuse_share("iou_threshold", iou_threshold, "IoUs are")
    known = truth_given(truth, predictor.classes)
    return Trace(record(predictor, image, conf, known), Thresholds(conf, iou_threshold))
