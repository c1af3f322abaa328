"""The best boxes of the first stage before and after NMS (section 3.3)."""

from __future__ import annotations

import torch
from jaxtyping import Int
from PIL import Image
from torch import Tensor

from faster_rcnn.explanation.plots.figure import Panel, cell_width, figure
from faster_rcnn.explanation.plots.heat import colour_at, colour_bar
from faster_rcnn.explanation.plots.marks import draw_boxes, draw_dashed
from faster_rcnn.explanation.plots.view import view_of
from faster_rcnn.explanation.record.fates import AnchorFates, Fate
from faster_rcnn.explanation.record.lives import PartFates
from faster_rcnn.explanation.record.numbers import proposal_numbers
from faster_rcnn.explanation.record.recording import Recording
from faster_rcnn.structures import Proposals

SHOWN = 50
"""The number of boxes in each panel where the caller names none."""


def plot_proposals(recording: Recording, fates: PartFates, top: int = SHOWN) -> Image.Image:
    """Draw the ``top`` boxes of highest objectness before NMS beside the ``top`` proposals after it.

    External proposals are drawn by themselves. Truths, where known, are dashed.
    """
    kept, anchors = fates.part.proposals[:top], fates.anchors
    after = f"best {len(kept.scores)} of {len(fates.part.proposals.scores)} proposals"
    if anchors is None:
        return _side_by_side(recording, fates, [(f"External proposals: {after}", kept)], [])
    best = best_before_nms(anchors, top)
    candidates = Proposals(anchors.boxes[best], anchors.objectness[best])
    counts, rule = proposal_numbers(anchors), fates.part.network.inference_filter
    small = f"{counts.too_small:,} with a side below {rule.min_side:g} pixels are dropped. " if counts.too_small else ""
    notes = [
        f"Of {counts.anchors:,} anchors, the {counts.candidates:,} best of their levels become boxes. {small}"
        f"NMS removes {counts.suppressed:,} whose IoU with a better box exceeds {rule.nms_iou:g}. Of the "
        f"{counts.survived:,} that remain, the best {counts.kept:,} are the proposals."
    ]
    before = f"Before NMS: best {len(best)} of {counts.candidates - counts.too_small:,}"
    return _side_by_side(recording, fates, [(before, candidates), (f"After NMS: {after}", kept)], notes)


def best_before_nms(anchors: AnchorFates, top: int) -> Int[Tensor, " best"]:
    """The anchors of highest objectness whose boxes reach NMS, best first."""
    reached = torch.nonzero(anchors.fates >= Fate.SUPPRESSED)[:, 0]
    order = anchors.objectness[reached].argsort(descending=True, stable=True)
    return reached[order[:top]]


def _side_by_side(
    recording: Recording, fates: PartFates, steps: list[tuple[str, Proposals]], notes: list[str]
) -> Image.Image:
    """Boxes on the image, step by step, in the colours of their objectness from the lowest to the highest drawn."""
    scores = torch.cat([boxes.scores for _, boxes in steps])
    low, high = (float(scores.min()), float(scores.max())) if len(scores) else (0.0, 1.0)
    panels = []
    for title, boxes in steps:
        view = view_of(recording, fates.part, len(steps), faded=0.25)
        if recording.truth is not None:
            draw_dashed(view, recording.truth.boxes, thick=2)
        shares = ((boxes.scores - low) / max(high - low, 1e-12)).tolist()
        draw_boxes(view, fates.part.in_image(boxes.boxes), [colour_at(share) for share in shares], 2)
        panels.append(Panel(view.picture, title))
    if len(scores):
        panels.append(Panel(colour_bar(cell_width(2), f"{low:.3f}", f"{high:.3f}"), "Objectness of the boxes"))
    return figure(panels, len(steps), notes=notes)
