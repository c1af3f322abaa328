"""The command ``faster-rcnn quantize``: its options."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.cli.options import Integer, JsonOut, announce


def quantize(
    model: str,
    data: Path,
    /,
    *,
    out: Path,
    count: Integer = 32,
    split: str | None = None,
    device: str = "auto",
    json: JsonOut = None,
) -> int:
    """Let a detector work in 8 bits on a CPU: measure what its features range over, and what that gains and costs.

    Args:
        model: Model file, run folder or published name.
        data: Folder or file of labelled images, such as it was trained on.
        out: Model file to write, with the same weights and those ranges.
        count: Training images in which the ranges are measured.
        split: Part of the data on which both are judged; test where there is one, else val.
        device: Device that computes: auto or cpu, since 8 bits are for CPUs.
        json: File for the numbers; - for standard output.
    """
    announce(f"measuring the ranges of {model} on {data}")
    from faster_rcnn.cli.bodies import quantize as job

    return job.run(model, data, count=count, split=split, out=out, json=json, device=device)
