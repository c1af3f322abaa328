"""The command ``faster-rcnn proposals``: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from faster_rcnn.cli.options import Integer, JsonOut, announce


def proposals(
    data: Path,
    /,
    *,
    method: Literal["selective-search", "rpn"],
    out: Path,
    model: str | None = None,
    mode: Literal["fast", "quality"] = "fast",
    count: Integer = 2000,
    device: str = "auto",
    json: JsonOut = None,
) -> int:
    """Propose where objects may be in every image, write that down for Fast R-CNN, and tell its recall.

    Args:
        data: Folder or file of labelled images.
        method: Selective search, or the first stage of a detector.
        out: File of proposals to write.
        model: With the method rpn: model file, run folder or published name.
        mode: Mode of selective search.
        count: Proposals of an image, at most, best first; in place of the model's own number.
        device: With the method rpn, the device that computes: auto, cpu, cuda or cuda:N.
        json: File for the recall of each split; - for standard output.
    """
    announce(f"proposals for {data}")
    from faster_rcnn.cli.bodies import proposals as job

    return job.run(data, method=method, model=model, mode=mode, out=out, count=count, json=json, device=device)
