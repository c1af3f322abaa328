"""The command ``faster-rcnn train``: its options."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.cli.options import Epochs, Integer, Settings, Switch, TrainingPrecision, announce


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
    from faster_rcnn.training import run as job

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
