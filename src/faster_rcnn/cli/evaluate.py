"""The command ``faster-rcnn evaluate``: its options."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.cli.options import Integer, JsonOut, Precision, announce


def evaluate(
    model: str,
    data: Path,
    /,
    *,
    split: str | None = None,
    precision: Precision = "auto",
    device: str = "auto",
    proposals: Path | None = None,
    tile: Integer | None = None,
    overlap: float | None = None,
    json: JsonOut = None,
) -> int:
    """Measure a detector on labelled images: COCO's twelve numbers, and each class.

    Args:
        model: Model file, run folder or published name; or a COCO results JSON, or the lines of `predict --json`.
        data: Folder or file of labelled images.
        split: Which part of them; test where there is one, else val.
        precision: Number format of convolutions and matrix products; auto is the fastest one.
        device: Device that computes: auto, cpu, cuda or cuda:N.
        proposals: File of proposals for the second stage; a Fast R-CNN without one searches for itself.
        tile: Look at larger images in square tiles of so many pixels, as `predict` does.
        overlap: Share of a tile's side that its neighbour sees, too; 0.2 where not given.
        json: File for the numbers; - for standard output.
    """
    announce(f"evaluating {model} on {data}")
    from faster_rcnn.cli.bodies import evaluate as job

    return job.run(
        model,
        data,
        split=split,
        precision=precision,
        device=device,
        json=json,
        proposals=proposals,
        tile=tile,
        overlap=overlap,
    )
