"""The command ``faster-rcnn recall``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated

from cyclopts import Parameter

from faster_rcnn.cli.options import JsonOut, announce
from faster_rcnn.cli.outputs import deliver, refuse_same_file, require_file, require_json
from faster_rcnn.errors import MissingExtraError, OptionError
from faster_rcnn.system.console import say

PICTURES = (".svg", ".png", ".pdf")
"""Endings of the files that --plot writes."""


def recall(
    data: Path,
    /,
    *,
    proposals: Annotated[list[Path], Parameter(consume_multiple=1, negative="")],
    split: str | None = None,
    plot: Path | None = None,
    json: JsonOut = None,
) -> int:
    """Measure the recall of the proposals in one or more files, and draw it as the paper's Figure 4.

    Args:
        data: Folder or file of labelled images.
        proposals: Files that `faster-rcnn proposals` wrote; several may follow.
        split: Split of the data to measure on; by default test where there is one, else val.
        plot: Picture to write, with a curve of recall for each file; .svg, .png or .pdf.
        json: File for the numbers; - for standard output.
    """
    announce(f"recall of proposals for {data}")
    from faster_rcnn.evaluation.recall_of_files import measure_files

    require_json(json, [data, *proposals])
    require_file("--plot", plot, [data, *proposals])
    refuse_same_file({"--json": json, "--plot": plot})
    _refuse_twice(proposals)
    drawing = None if plot is None else _drawing(plot)  # a missing package is reported before the work
    measured = measure_files(data, proposals, split)
    deliver(measured, json)
    if plot is not None and drawing is not None:
        drawing.draw_recall(measured.by_name(), plot, f"{data.resolve().stem}, {measured.split}")
        say(f"wrote {plot}")
    return 0


def _refuse_twice(paths: Sequence[Path]) -> None:
    twice = [path for path, count in Counter(path.resolve() for path in paths).items() if count > 1]
    if twice:
        raise OptionError(f"--proposals {twice[0]} is given twice; give each file once")


def _drawing(plot: Path) -> ModuleType:
    """The module that draws ``plot``; matplotlib is imported with it."""
    if plot.suffix.lower() not in PICTURES or plot.is_dir():
        raise OptionError(f"--plot {plot} cannot be drawn; name a file that ends in {', '.join(PICTURES)}")
    try:
        from faster_rcnn.evaluation import recall_plot
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plots") from error
    return recall_plot
