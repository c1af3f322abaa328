"""Two detectors side by side on one split: which truths were gained and lost, why, and whether AP changed by chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from faster_rcnn.data.reading import load_split
from faster_rcnn.errors import ModelFileError
from faster_rcnn.evaluation.change import MetricChange, metric_lines
from faster_rcnn.evaluation.detector import choose_split, settings_for
from faster_rcnn.explanation.causes.kinds import Thresholds, Verdict
from faster_rcnn.explanation.dataset.change import change_on
from faster_rcnn.explanation.dataset.change_table import class_lines, truth_lines, verdict_lines
from faster_rcnn.explanation.dataset.pairs import CommonImages, JudgedBy, TruthPair, common_to
from faster_rcnn.explanation.survey import Survey, survey
from faster_rcnn.inference.external_proposals import split_source
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import PreparedDetector
from faster_rcnn.inference.tiles import Tiling
from faster_rcnn.parsing.values import first_of
from faster_rcnn.system.terminal import printable
from faster_rcnn.system.wording import count_of


@dataclass(frozen=True, eq=False)
class Against:
    """What a detector gains and loses against another one, on the images and classes that both judged."""

    names: tuple[str, str]
    """The names of the detector before and of the one after, such as their run folders."""
    before: Survey
    after: Survey

    @cached_property
    def common(self) -> CommonImages:
        """The images, truths and detections of both."""
        return common_to(*(JudgedBy(each.images, each.classes) for each in (self.before, self.after)))

    @cached_property
    def changes(self) -> Mapping[str, MetricChange]:
        """AP, AP50 and AP75 of both detectors, with bootstrap intervals of the change."""
        return change_on(self.common)

    @property
    def class_names(self) -> list[str]:
        """The classes that both detectors know."""
        return [name for name in self.common.classes.names if name is not None]

    @property
    def gained(self) -> tuple[TruthPair, ...]:
        """The truths that only the detector after finds."""
        return tuple(each for each in self.common.pairs if each.gained)

    @property
    def lost(self) -> tuple[TruthPair, ...]:
        """The truths that only the detector before finds."""
        return tuple(each for each in self.common.pairs if each.lost)

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines that a reader of the numbers should know."""
        names = {name for each in (self.before, self.after) for name in each.classes.names if name is not None}
        alone = sorted(names - set(self.common.classes.names))
        sides = zip(self.names, (self.before, self.after), strict=True)
        # Missing labels are no part of a comparison.
        notes = [f"{name}: {note}" for name, side in sides for note in side.notes if note != side.label_note]
        if alone:
            classes = count_of(len(alone), "class", "classes")
            notes.append(f"left out, as only one of the detectors has them: {classes}, {first_of(alone)}")
        if self.common.left_out:
            notes.append(
                f"left out, as only one of the detectors can use them: {count_of(self.common.left_out, 'image')}"
            )
        return tuple(notes)

    def table(self) -> str:
        """The change of AP, the truths gained and lost, and why, as text of 80 columns."""
        pairs, thresholds = self.common.pairs, self.after.thresholds
        how = (
            f"{self.after.split.name}: {count_of(len(self.common.records), 'image')}; detections of at least "
            f"{thresholds.conf:g}, IoU {thresholds.iou:g}"
        )
        names = [printable(f"{side:<7} {name}") for side, name in zip(("before:", "after:"), self.names, strict=True)]
        parts = (
            [how, *names, *map(printable, self.notes)],
            metric_lines(self.changes),
            truth_lines(pairs),
            verdict_lines(pairs),
            class_lines(pairs, self.class_names),
        )
        return "\n\n".join("\n".join(part) for part in parts)

    def to_json(self) -> dict[str, Any]:
        """The numbers, and every truth that was gained or lost, as plain values."""
        pairs = self.common.pairs
        moves = Counter((each.before.kind, each.after.kind) for each in pairs)
        return {
            "split": self.after.split.name,
            "images": len(self.common.records),
            "conf": self.after.thresholds.conf,
            "iou_threshold": self.after.thresholds.iou,
            "before": self.names[0],
            "after": self.names[1],
            "metrics": {name: each.to_json() for name, each in self.changes.items()},
            "truths": len(pairs),
            "verdicts": [
                {"before": before.value, "after": after.value, "truths": count}
                for (before, after), count in sorted(moves.items())
            ],
            "gained": [self._truth(each) for each in self.gained],
            "lost": [self._truth(each) for each in self.lost],
            "notes": list(self.notes),
        }

    def _truth(self, pair: TruthPair) -> dict[str, Any]:
        return {
            "image": self.common.records[pair.image].file_name,
            "class": pair.class_name,
            "box": list(pair.box),
            "before": _verdict(pair.before),
            "after": _verdict(pair.after),
        }


def against(before: Survey, after: Survey, names: tuple[str, str] = ("before", "after")) -> Against:
    """Compare two surveys of one split; raises ``ModelFileError`` (E123) where they have no class in common."""
    found = Against(names, before, after)
    if not len(found.common.classes):
        of_both = [first_of([name for name in each.classes.names if name is not None]) for each in (before, after)]
        raise ModelFileError(
            f"{names[0]} and {names[1]} have no class of {after.split.name} in common, so nothing can be compared: "
            f"the first has {of_both[0]}; the second has {of_both[1]}",
            code="E123",
        )
    return found


def against_on_data(
    detectors: tuple[PreparedDetector, PreparedDetector],
    data: Path,
    split: str | None,
    thresholds: Thresholds,
    names: tuple[str, str] = ("before", "after"),
    *,
    proposals: Path | None = None,
    tiling: Tiling | None = None,
) -> Against:
    """Survey labelled images with two detectors, the one before and the one after, and compare them.

    The data are read once, as the second detector's training data were. ``survey_data`` and ``against`` describe the
    other arguments and the errors.
    """
    dataset = load_split(data, settings_for(data, detectors[1].config.data, tiling), split)
    part = choose_split(dataset, split)
    surveys = []
    for detector, name in zip(detectors, names, strict=True):
        source = None if proposals is None else split_source(detector, proposals, dataset.root, part, name)
        surveys.append(survey(Predictor(detector, proposals=source, tiling=tiling), part, thresholds, name))
    before, after = surveys
    return against(before, after, names)


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "kind": verdict.kind.value,
        "value": verdict.value,
        "limit": verdict.limit,
        "setting": verdict.setting,
    }
