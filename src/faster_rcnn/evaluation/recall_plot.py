"""Recall of proposals as the paper's Figure 4: against the IoU, in panels by number of proposals, and against that.

The module needs matplotlib, the extra ``plots``, so it is imported only where a figure is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.lines import Line2D

from faster_rcnn.evaluation.recall import COUNTS, CURVE_COUNTS, IOUS, ProposalRecall
from faster_rcnn.system.atomic import atomic_write
from faster_rcnn.system.terminal import printable

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Distinguishable for the colour-blind too (Okabe and Ito, 2008)."""
DASHES = ("-", "--", ":", "-.")
"""Line styles, one for each round through the colours."""
INCHES = (10.0, 6.4)
DOTS_PER_INCH = 160
"""Resolution of a PNG."""
LETTERS_OF_A_LINE = 110
"""Length of a legend line that fits this width."""

STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "figure.constrained_layout.h_pad": 0.1,
    "figure.constrained_layout.w_pad": 0.1,
    "lines.linewidth": 1.8,
    "lines.markersize": 3.8,
    "text.parse_math": False,  # a dollar in a folder's name is a dollar
    "svg.hashsalt": "faster-rcnn",  # the same numbers give the same file
}
UNDATED: dict[str, dict[str, None]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}
"""Metadata by kind of file, without a date, which would make equal pictures differ."""


def draw_recall(recalls: Mapping[str, ProposalRecall], path: Path, data: str) -> None:
    """Write one figure with a line for each method; ``data`` names the data set and its split."""
    suffix = path.suffix.lower()
    with rc_context(STYLE), atomic_write(path) as temporary:
        figure = recall_figure(recalls, data)
        figure.savefig(temporary, format=suffix[1:], dpi=DOTS_PER_INCH, metadata=UNDATED[suffix])


def recall_figure(recalls: Mapping[str, ProposalRecall], data: str) -> Figure:
    """Recall against the IoU for ``COUNTS`` proposals of an image, then at IoU 0.5 and on average against their number.

    A number of proposals with which no method was measured has no panel, and a method that was not measured with it has
    no line there. A line of the last two panels ends where a method has no more proposals.
    """
    counts = [count for count in COUNTS if any(count not in each.unmeasured for each in recalls.values())]
    figure = Figure(layout="constrained")
    *of_counts, at_half, on_average = _panels(figure, len(counts) + 2)
    for panel, count in zip(of_counts, counts, strict=True):
        _frame(panel, f"{count} proposals per image", "IoU", "recall")
        _iou_axis(panel)
        for number, each in enumerate(recalls.values()):
            if count not in each.unmeasured:
                panel.plot(IOUS, _numbers(each.recall[count]), **_style(number))
    _frame(at_half, "at IoU 0.5", "proposals per image", "recall")
    _frame(on_average, f"mean over IoU {IOUS[0]:.2f} to {IOUS[-1]:.2f}", "proposals per image", "average recall")
    _number_axis(at_half)
    _number_axis(on_average)
    for number, each in enumerate(recalls.values()):
        known = _counts(each)
        at_half.plot(known, _numbers([each.recall[count][0] for count in known]), **_style(number))
        on_average.plot(known, _numbers([each.average[count]["all"] for count in known]), **_style(number))
    one = next(iter(recalls.values()))
    figure.suptitle(
        f"Recall of proposals on {_drawable(data)}: {one.images} images, {one.truths} objects", fontsize=12.5
    )
    _legend(figure, recalls)
    return figure


def _panels(figure: Figure, number: int) -> list[Axes]:
    """Panels, 3 to 6, in rows of three, or of two where four would leave a gap; sets the size of the figure."""
    columns = 2 if number == 4 else 3
    rows = math.ceil(number / columns)
    figure.set_size_inches(INCHES[0], INCHES[1] * (0.3 + 0.35 * rows))
    return [figure.add_subplot(rows, columns, place) for place in range(1, number + 1)]


def _frame(panel: Axes, title: str, across: str, upwards: str) -> None:
    panel.set_title(title, loc="left")
    panel.set_xlabel(across)
    panel.set_ylabel(upwards)
    panel.set_ylim(0, 1)
    panel.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])


def _iou_axis(panel: Axes) -> None:
    panel.set_xlim(0.5, 1)
    panel.set_xticks([0.5, 0.6, 0.7, 0.8, 0.9, 1])


def _number_axis(panel: Axes) -> None:
    """Logarithmic, with the numbers of the panels written out."""
    panel.set_xscale("log")
    panel.set_xlim(CURVE_COUNTS[0], CURVE_COUNTS[-1])
    panel.set_xticks([1, *COUNTS], labels=[str(count) for count in (1, *COUNTS)])
    panel.minorticks_off()


def _counts(recall: ProposalRecall) -> list[int]:
    """Numbers of proposals up to the first that includes all of them."""
    fewer = [count for count in CURVE_COUNTS if count < recall.max_proposals]
    return list(CURVE_COUNTS[: len(fewer) + 1])


def _numbers(values: Sequence[float | None]) -> list[float]:
    """Recall as numbers; NaN, which draws no line, where there are no truths."""
    return [math.nan if value is None else value for value in values]


def _style(number: int) -> dict[str, Any]:
    """Style of a method's line: its colour, and dashes where the colours are used up."""
    rounds, colour = divmod(number, len(COLOURS))
    dashes = DASHES[rounds % len(DASHES)]
    return {"color": COLOURS[colour], "linestyle": dashes, "marker": "o", "clip_on": False, "zorder": 3}


def _legend(figure: Figure, recalls: Mapping[str, ProposalRecall]) -> None:
    """Draw the legend under the panels, side by side where the names are short enough."""
    labels = [_label(name, each) for name, each in recalls.items()]
    figure.legend(
        [Line2D([], [], **_style(number)) for number in range(len(labels))],
        labels,
        loc="outside lower center",
        ncols=len(labels) if sum(map(len, labels)) <= LETTERS_OF_A_LINE else 1,
        frameon=False,
    )


def _label(name: str, recall: ProposalRecall) -> str:
    """The method's name, with its number of proposals where a panel shows more."""
    shown = _drawable(name)
    return f"{shown} (at most {recall.max_proposals} per image)" if recall.max_proposals < COUNTS[-1] else shown


def _drawable(text: str) -> str:
    """The text with letters that matplotlib's font lacks escaped, as they would all be the same empty box."""
    text = printable(text)
    font = get_font(findfont("DejaVu Sans"))
    has = [font.get_char_index(ord(letter)) != 0 for letter in text]
    return "".join(
        letter if known else letter.encode("unicode_escape").decode("ascii")
        for letter, known in zip(text, has, strict=True)
    )
