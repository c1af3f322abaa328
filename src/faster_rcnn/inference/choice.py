"""The choice of the detections that are reported: some classes only, another threshold or rule of NMS."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TypedDict

from faster_rcnn.errors import OptionError
from faster_rcnn.inference.limits import refuse_share
from faster_rcnn.model import FasterRCNN
from faster_rcnn.roi.detections import DetectionFilter
from faster_rcnn.structures import ClassMap


@dataclass(frozen=True, slots=True)
class Choice:
    """The classes and the NMS that a user chooses; ``choice_of`` makes a checked one."""

    classes: tuple[str, ...] | None = None
    """Names of the classes that are reported; ``None`` for all."""
    iou: float | None = None
    """IoU threshold of NMS; ``None`` for the detector's own."""
    across_classes: bool = False
    """Whether NMS compares detections of different classes, too."""

    def names_of(self, classes: ClassMap) -> frozenset[str] | None:
        """Names of the chosen classes among those of a detector; ``None`` where the user chooses none.

        Raises ``OptionError`` for a class that the detector lacks.
        """
        return None if self.classes is None else _chosen(self.classes, classes)

    def filter_of(self, model: FasterRCNN, classes: ClassMap) -> DetectionFilter | None:
        """The detector's filter of detections with this choice applied; ``None`` where that changes nothing.

        Detections of other classes are left out first, so they take no part in NMS and in the limit of detections.

        Raises ``OptionError`` for a class that the detector lacks, and for a threshold or rule of NMS where the
        detector is a region proposal network, which has only the NMS of the first stage.
        """
        names = self.names_of(classes)
        holes = [label for label, name in enumerate(classes.names) if names is not None and name not in names]
        if model.roi is None:
            if self.iou is not None or self.across_classes:
                raise OptionError(
                    "iou and agnostic_nms are of the second stage, which this detector lacks", code="E125"
                )
            return None
        own = model.roi.detection_filter
        if self == Choice():
            return None
        return replace(
            own,
            holes=tuple(sorted({*own.holes, *holes})),
            nms_iou=own.nms_iou if self.iou is None else float(self.iou),
            across_classes=self.across_classes,
        )


class ChoiceOptions(TypedDict, total=False):
    """The arguments of ``choice_of``, as keywords of other functions."""

    classes: str | Iterable[str] | None
    iou: float | None
    agnostic_nms: bool


def choice_of(
    classes: str | Iterable[str] | None = None, iou: float | None = None, agnostic_nms: bool = False
) -> Choice:
    """Check the choice of a user; a text is one class name, or several with commas between them.

    Raises ``OptionError`` for anything that is no name, no IoU in 0..1, or neither true nor false (E125).
    """
    if iou is not None:
        refuse_share("iou", iou, "IoUs are")
    if not isinstance(agnostic_nms, bool):
        raise OptionError(f"agnostic_nms {agnostic_nms!r:.40} must be True or False", code="E125")
    return Choice(None if classes is None else _names(classes), iou, agnostic_nms)


def _names(classes: str | Iterable[str]) -> tuple[str, ...]:
    names = (classes,) if isinstance(classes, str) else tuple(classes) if isinstance(classes, Iterable) else (classes,)
    for name in names:
        if not isinstance(name, str):
            raise OptionError(f"classes {name!r:.40}: classes are chosen by their names, such as ['cat']", code="E125")
    if not any(name.strip() for name in names):
        raise OptionError("classes names none; name one, or leave the option out", code="E125")
    return names


def _chosen(names: Iterable[str], classes: ClassMap) -> frozenset[str]:
    """The names, each of a class of the detector."""
    known = [name for name in classes.names if name is not None]
    chosen = frozenset(part for name in names for part in _parts(name, known))
    for name in sorted(chosen):
        if name not in known:
            raise OptionError(f"classes: the detector has no class '{name}'{_instead(name, known)}", code="E125")
    return chosen


def _parts(text: str, known: Iterable[str]) -> list[str]:
    """Split a text at its commas, unless all of it is the name of a class."""
    return [text] if text in known else [part.strip() for part in text.split(",") if part.strip()]


def _instead(name: str, known: list[str]) -> str:
    folded = {each.casefold(): each for each in known}
    close = get_close_matches(name.casefold(), folded, n=1)
    hint = f"; did you mean '{folded[close[0]]}'?" if close else ""
    shown = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
    return f"{hint} It has {shown}" if hint else f"; it has {shown}"
