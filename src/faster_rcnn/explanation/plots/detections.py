"""The detections of an image, and what became of its truths (section 3: the output of both stages)."""

from __future__ import annotations

from PIL import Image

from faster_rcnn.explanation.causes.false_positives import FalsePositive
from faster_rcnn.explanation.causes.kinds import Verdict
from faster_rcnn.explanation.plots.figure import Key, Panel, figure
from faster_rcnn.explanation.plots.marks import NEGATIVE, POSITIVE, WHITE, draw_boxes, draw_dashed, draw_tags
from faster_rcnn.explanation.plots.view import view_of
from faster_rcnn.explanation.record.recording import Recording
from faster_rcnn.reporting.drawing.colours import Colour, colour_of
from faster_rcnn.reporting.drawing.fonts import letterings
from faster_rcnn.system.wording import count_of

MISSED: Colour = (240, 228, 66)
"""Yellow of Okabe and Ito."""


def plot_detections(
    recording: Recording, verdicts: tuple[Verdict, ...] = (), false_positives: tuple[FalsePositive, ...] = ()
) -> Image.Image:
    """Draw the reported detections in the colours of their classes; where the truth is known, what is right and wrong.

    Args:
        recording: a recorded image.
        verdicts: on its truths; those that were missed are marked with the verdict.
        false_positives: the detections that count for no truth, which are marked with their kind.
    """
    panels = [_detections_panel(recording)]
    if recording.truth is None:
        return figure(panels)
    missed = [verdict for verdict in verdicts if verdict.missed]
    panels.append(_verdicts_panel(recording, verdicts, false_positives))
    keys = [
        Key(f"{len(verdicts) - len(missed)} found", POSITIVE),
        Key(f"{len(missed)} missed", MISSED, "dashed"),
        Key(f"{len(false_positives)} false", NEGATIVE),
        Key("truth", WHITE, "dashed"),
    ]
    return figure(panels, keys=keys)


def _detections_panel(recording: Recording) -> Panel:
    view, found = view_of(recording, recording.whole), recording.reported
    names = letterings(recording.classes)
    labels = found.labels.tolist()
    colours = [colour_of(label) for label in labels]
    draw_boxes(view, found.boxes, colours)
    scores = [f"{score:.2f}" for score in found.scores.tolist()]
    draw_tags(view, found.boxes, [names[label] for label in labels], colours, scores)
    best = f"; the best has {float(recording.detections.scores[0]):.3f}" if len(recording.detections) else ""
    none = "" if len(found) else best
    return Panel(view.picture, f"{count_of(len(found), 'detection')} of a score of at least {recording.conf:g}{none}")


def _verdicts_panel(
    recording: Recording, verdicts: tuple[Verdict, ...], false_positives: tuple[FalsePositive, ...]
) -> Panel:
    """Which truths were found and missed, and which detections are false."""
    view, truth = view_of(recording, recording.whole, faded=0.2), recording.truth
    if truth is None:
        raise ValueError("verdicts need the truth")
    right = [verdict.detection for verdict in verdicts if verdict.detection is not None]
    wrong = [each.detection for each in false_positives]
    missed = [verdict.truth for verdict in verdicts if verdict.missed]
    boxes = recording.detections.boxes
    draw_dashed(view, truth.boxes)
    draw_boxes(view, boxes[right], POSITIVE)
    draw_boxes(view, boxes[wrong], NEGATIVE)
    draw_dashed(view, truth.boxes[missed], MISSED, 4)
    draw_tags(view, truth.boxes[missed], [f"missed: {each.kind}" for each in verdicts if each.missed], MISSED)
    draw_tags(view, boxes[wrong], [f"false: {each.kind}" for each in false_positives], NEGATIVE)
    return Panel(view.picture, "Verdicts: each truth and each false detection by its kind")
