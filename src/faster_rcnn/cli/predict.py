"""The command ``faster-rcnn predict``: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from faster_rcnn.cli.options import Integer, JsonOut, Precision, Switch, announce


def predict(
    model: str,
    source: Annotated[list[str], Parameter(required=True)],
    /,
    *,
    conf: float = 0.5,
    max_det: Integer | None = None,
    tile: Integer | None = None,
    overlap: float | None = None,
    classes: str | None = None,
    iou: float | None = None,
    agnostic_nms: Switch = False,
    precision: Precision = "auto",
    device: str = "auto",
    proposals: Path | None = None,
    out: Path | None = None,
    json: JsonOut = None,
) -> int:
    """Find objects in images; draw them, or write them as JSON lines.

    Args:
        model: Model file, run folder or published name.
        source: Image files, folders, patterns such as 'photos/*.jpg', or - for an image on standard input.
        conf: Lowest score that is reported.
        max_det: Most detections of one image; with --tile the only limit, as the model's own is then each tile's.
        tile: Look at larger images in square tiles of so many of their pixels, and once as a whole.
        overlap: Share of a tile's side that its neighbour sees, too; 0.2 where not given. Objects smaller than the
            overlap are whole in some tile.
        classes: Names of the classes that are reported, as a,b,c.
        iou: NMS threshold of the second stage, in place of the model's own.
        agnostic_nms: Let NMS compare detections of different classes, too.
        precision: Number format of convolutions and matrix products; auto is the fastest one.
        device: Device that computes: auto, cpu, cuda or cuda:N.
        proposals: File of proposals for the second stage; a Fast R-CNN without one searches for itself.
        out: Folder for the pictures with their boxes.
        json: File for one JSON object per image; - for standard output.
    """
    announce(f"predicting with {model}")
    from faster_rcnn.cli.bodies import predict as job
    from faster_rcnn.inference.choice import choice_of

    return job.run(
        model,
        source,
        conf=conf,
        max_det=max_det,
        precision=precision,
        device=device,
        proposals=proposals,
        out=out,
        json=json,
        tile=tile,
        overlap=overlap,
        choice=choice_of(classes, iou, agnostic_nms),
    )
