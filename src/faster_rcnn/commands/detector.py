"""Train, evaluate, predict, and the whole way on built-in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from faster_rcnn.commands.app import (
    Epochs,
    Integer,
    JsonOut,
    Precision,
    Settings,
    Switch,
    TrainingPrecision,
    announce,
    app,
)


@app.command
def demo(*, out: Path | None = None, device: str = "auto") -> int:
    """Train, evaluate and predict on built-in pictures of handwritten digits, in a few minutes.

    Args:
        out: Folder for the run and its pictures.
        device: Device that computes: auto, cpu, cuda or cuda:N.
    """
    announce("the demo: handwritten digits, found in pictures")
    from faster_rcnn.jobs import demo as job

    return job.run(out, device)


@app.command
def train(
    data: Path,
    /,
    *,
    model: str | None = None,
    weights: str | None = None,
    out: Path | None = None,
    epochs: Epochs | None = None,
    batch: Integer | None = None,
    lr: float | None = None,
    image_size: Integer | None = None,
    seed: Integer | None = None,
    workers: Integer | None = None,
    device: str | None = None,
    precision: TrainingPrecision | None = None,
    threads: Integer | None = None,
    config: Path | None = None,
    settings: Settings = None,
    proposals: Path | None = None,
    val_share: float | None = None,
    resume: Switch = False,
) -> int:
    """Train a detector on labelled images, and keep the best one.

    Args:
        data: Folder or file of labelled images: COCO JSON, VOC, YOLO or CSV, recognised by looking.
        model: Preset that the settings start from: small, base, base-v2, mobile, mobile-320, paper, c4.
        weights: Model file, run folder or published name to start from instead of ImageNet weights.
        out: Run folder; a new one below runs/ where not given.
        epochs: Passes over the training images; auto, where not given, is at least 12 and at least 480 steps, but at
            most 60.
        batch: Images per step.
        lr: Learning rate for 16 images per step; scaled to the batch.
        image_size: Pixels of the shorter side; the longer side's limit follows.
        seed: Seed of the random numbers for weights, order, augmentation and sampling.
        workers: Processes that decode images ahead.
        device: Device that computes: auto, cpu, cuda or cuda:N.
        precision: Number format of convolutions and matrix products; auto is bfloat16 where that is fast. A run that
            goes on keeps its own, unless another one is given.
        threads: CPU threads that compute; torch's own number where not given. A run that goes on keeps its own.
        config: YAML file of settings, as `faster-rcnn config` prints it.
        settings: Single settings, as section.key=value; several may follow.
        proposals: File of proposals; the second stage alone is trained on them (Fast R-CNN).
        val_share: Share of the training images to validate on, such as 0.2, where the data has no validation split.
        resume: Go on with the run in --out.
    """
    announce(f"training on {data}")
    from faster_rcnn.jobs import train as job

    flags = {
        "epochs": epochs,
        "batch": batch,
        "lr": lr,
        "image_size": image_size,
        "seed": seed,
        "workers": workers,
        "device": device,
        "precision": precision,
        "threads": threads,
        "val_share": val_share,
    }
    job.train(
        data,
        model=model,
        weights=weights,
        out=out,
        config=config,
        settings=settings or (),
        proposals=proposals,
        resume=resume,
        flags=flags,
    )
    return 0


@app.command
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
    from faster_rcnn.jobs import evaluate as job

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


@app.command(usage="Usage: faster-rcnn predict [OPTIONS] MODEL SOURCE...")
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
    from faster_rcnn.inference.choice import choice_of
    from faster_rcnn.jobs import predict as job

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
