"""Advice: the nearest single setting of inference that makes a missed object appear, found by trying.

Each trial is followed by what appears beside the object. Anchors cannot be tried without training: for a truth that no
anchor reaches, the advice has the anchors to train with.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from faster_rcnn.data.anchor_fitting import AnchorFit, fitted_to, shapes_of
from faster_rcnn.explanation.causes.changes import changes_for
from faster_rcnn.explanation.causes.explained import Explained
from faster_rcnn.explanation.causes.kinds import Question, Thresholds, Verdict, VerdictKind
from faster_rcnn.explanation.causes.matching import UNMATCHED, match_detections
from faster_rcnn.explanation.causes.retries import CONF, TILE, Change, Retries
from faster_rcnn.ops.boxes import iou
from faster_rcnn.structures import Detections, GroundTruth
from faster_rcnn.system.wording import count_of

EDGE = 1e-3
"""Distance from a threshold below which a score or an IoU may fall on its other side in another run.

The last bits of both depend on the number of threads, and so on how many images are predicted together.
"""
SAME_IOU = 0.5
"""IoU from which on a detection after a change is one that was there before."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What the detector reports after one change."""

    change: Change
    """The setting and its value."""
    found: bool
    """Whether a reported detection counts for the truth, and not by a hair's breadth."""
    score: float | None
    """Score of that detection; ``None`` where there is none."""
    further: int
    """Number of other reported detections that were not there before."""
    false: int
    """Number of those further detections that count for no truth."""
    lost: int
    """Number of other truths that were found before and are not found after the change."""

    @property
    def setting(self) -> str:
        """``section.key`` of the setting, or the option ``conf`` or ``tile``."""
        return self.change.setting

    @property
    def value(self) -> float:
        """Its value in this trial."""
        return self.change.value


@dataclass(frozen=True, slots=True)
class Advice:
    """What was tried to make a truth's detection appear, and what does."""

    verdict: Verdict
    tried: tuple[Trial, ...]
    """One trial for each setting that could help, the nearest setting first: that of the first value that finds the
    truth or, where none does, of the last one. Unless more was asked for, the first that finds it ends the trials."""
    remedy: Trial | None
    """The nearest one that finds the truth; ``None`` where no single setting does."""
    anchors: AnchorFit | None = None
    """Anchors to train with, where no anchor reaches the truth."""

    @property
    def words(self) -> str:
        """The options of ``faster-rcnn predict`` that make it appear, or those of ``train`` for anchors; else empty."""
        if self.remedy is not None:
            return self.remedy.change.words
        return "" if self.anchors is None else self.anchors.words

    @property
    def sentence(self) -> str:
        """The advice in plain words, of one sentence or, where training is needed, two."""
        if not self.verdict.missed:
            return "The object is found, so there is nothing to advise."
        if self.remedy is not None:
            found = f"With {self.remedy.change.words} it is found, with a score of {self.remedy.score:.2f}"
            return f"{found}; {_beside(self.remedy)}.{self._on_anchors()}"
        if not self.tried:
            return f"No single setting of inference can find it.{self._on_anchors()}"
        tried = "; ".join(trial.change.words for trial in self.tried)
        return f"No single setting of inference finds it; tried: {tried}.{self._on_anchors()}"

    def _on_anchors(self) -> str:
        if self.anchors is None:
            return ""
        objects = count_of(self.anchors.objects, "object")
        return f" Nearer anchors need training: faster-rcnn train DATA {self.anchors.words}, fitted to {objects}."


def advice_on(
    explained: Explained,
    verdict: Verdict,
    retries: Retries,
    anchors: AnchorFit | None = None,
    *,
    passes: bool = True,
    thorough: bool = False,
) -> Advice:
    """Try the settings of inference that could make a truth's detection appear, the nearest first.

    The setting that the verdict names is tried first, then those that cost no pass of the detector, then larger images
    and tiles.

    Args:
        explained: the recorded image; its truth is known.
        verdict: one of its verdicts.
        retries: those of its recording, which share their work between the truths of an image.
        anchors: the anchors that fit the training data; without them, those that fit the truths of this image stand in
            the advice on a truth that no anchor reaches.
        passes: whether other image sizes and tiles are tried, each of which takes another pass over the image.
        thorough: whether the settings after the first one that finds the truth are tried, too, for comparison.

    Raises ``OptionError`` where the truth is not known.
    """
    if not verdict.missed:
        return Advice(verdict, (), None)
    truth, thresholds = explained.known_truth, explained.thresholds
    changes = changes_for(Question(verdict.truth, truth, thresholds), explained.recording, explained.fates)
    tried: list[Trial] = []
    for setting in sorted(changes, key=lambda name: name != verdict.setting):  # stable: the others keep their order
        if passes or not (setting.startswith("image.") or setting == TILE):
            tried.append(_first_that_finds(changes[setting], retries, truth, verdict.truth, thresholds))
        if tried and tried[-1].found and not thorough:
            break
    remedy = next((trial for trial in tried if trial.found), None)
    if verdict.kind == VerdictKind.NO_ANCHOR:
        anchors = anchors or _anchors_for(explained, truth)
    is_needed = verdict.kind == VerdictKind.NO_ANCHOR and anchors is not None and anchors.improves
    return Advice(verdict, tuple(tried), remedy, anchors if is_needed else None)


def _first_that_finds(
    changes: list[Change], retries: Retries, truth: GroundTruth, index: int, thresholds: Thresholds
) -> Trial:
    for change in changes:
        trial = trial_of(change, retries, truth, index, thresholds)
        if trial.found:
            break
    return trial


def trial_of(change: Change, retries: Retries, truth: GroundTruth, index: int, thresholds: Thresholds) -> Trial:
    """Try one change, and compare what is reported with the truth and with what was reported before.

    ``index`` is that of the truth that is to be found.
    """
    before, after = retries.recording.reported, retries.reported(change)
    conf = change.value if change.setting == CONF else thresholds.conf
    partners = match_detections(after, truth, thresholds.iou)
    own = int(partners.detections[index])
    score = None if own == UNMATCHED else float(after.scores[own])
    new = match_detections(after, _as_truth(before), SAME_IOU).truths == UNMATCHED
    if own != UNMATCHED:
        new[own] = False
    false = new & (partners.truths == UNMATCHED) & ~partners.excused
    was_found = match_detections(before, truth, thresholds.iou).detections != UNMATCHED
    lost = was_found & (partners.detections == UNMATCHED)
    return Trial(
        change,
        found=own != UNMATCHED and _is_certain(after, own, truth, index, Thresholds(conf, thresholds.iou)),
        score=score,
        further=int(new.sum()),
        false=int(false.sum()),
        lost=int(lost.sum()),
    )


def _is_certain(found: Detections, own: int, truth: GroundTruth, index: int, thresholds: Thresholds) -> bool:
    """Whether a detection is beyond both thresholds by more than the last bits of another run may change."""
    reached = float(iou(found.boxes[own].double()[None], truth.boxes[index].double()[None])[0, 0])
    # A confidence that was tried is below the score by its own margin.
    least = min(1.0, thresholds.conf * (1 + EDGE))
    return float(found.scores[own]) >= least and reached >= min(1.0, thresholds.iou + EDGE)


def _as_truth(found: Detections) -> GroundTruth:
    return GroundTruth(found.boxes, found.labels, torch.zeros(len(found), dtype=torch.bool))


def _anchors_for(explained: Explained, truth: GroundTruth) -> AnchorFit | None:
    """The anchors that fit the truths of the image alone."""
    recording = explained.recording
    if recording.whole.first is None:
        return None
    config = recording.predictor.config
    shapes = shapes_of(truth, recording.size, config.image)
    return fitted_to(shapes, config.rpn, recording.whole.network.rpn.anchors.strides)


def _beside(trial: Trial) -> str:
    """What appears beside the object, and what is lost."""
    appears = "appears" if trial.further == 1 else "appear"
    beside = f"{count_of(trial.further, 'further detection')} {appears}"
    if trial.further == 0:
        beside = "no further detection appears"
    elif trial.false:
        beside += f", {trial.false if trial.false < trial.further else 'all'} of them false"
        if trial.further == 1:
            beside = "1 further detection appears, which is false"
    return beside + (f", and {count_of(trial.lost, 'object')} that was found before is lost" if trial.lost else "")
