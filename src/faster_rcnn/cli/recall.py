"""The command ``faster-rcnn recall``: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from faster_rcnn.cli.options import JsonOut, announce


def recall(
    data: Path,
    /,
    *,
    proposals: Annotated[list[Path], Parameter(consume_multiple=1, negative="")],
    split: str | None = None,
    plot: Path | None = None,
    json: JsonOut = None,
) -> int:
    """Measure how many objects the proposals of one or more files cover, and draw it as the paper's Figure 4.

    Args:
        data: Folder or file of labelled images.
        proposals: Files that `faster-rcnn proposals` wrote; several may follow.
        split: Which part of the images; test where there is one, else val.
        plot: Picture to write: curves of recall, a line for each file; .svg, .png or .pdf.
        json: File for the numbers; - for standard output.
    """
    announce(f"recall of proposals for {data}")
    from faster_rcnn.cli.bodies import recall as job

    return job.run(data, proposals, split=split, plot=plot, json=json)
