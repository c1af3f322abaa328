"""The command ``faster-rcnn compare``: its options."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.cli.options import Epochs, Integer, JsonOut, Settings, announce


def compare(
    data: Path,
    /,
    *,
    model: str | None = None,
    epochs: Epochs | None = None,
    batch: Integer | None = None,
    lr: float | None = None,
    image_size: Integer | None = None,
    seed: Integer | None = None,
    device: str = "auto",
    settings: Settings = None,
    faster: str | None = None,
    fast: str | None = None,
    proposals: Path | None = None,
    split: str | None = None,
    images: Integer = 20,
    rounds: Integer = 3,
    out: Path | None = None,
    json: JsonOut = None,
) -> int:
    """Faster R-CNN against Fast R-CNN with selective search: time of each stage, recall, AP; same body, same budget.

    Trains both, or takes both with --faster and --fast; what an earlier call has trained or proposed is used again.
    Recall is that of the 300 best proposals of an image.

    Args:
        data: Folder or file of labelled images.
        model: Preset that both are trained with.
        epochs: Passes over the training images, for each.
        batch: Images per step.
        lr: Learning rate for 16 images per step; scaled to the batch.
        image_size: Pixels of the shorter side; the longer side's limit follows.
        seed: Seed of the random numbers for weights, order, augmentation and sampling.
        device: Device that trains and measures: auto, cpu, cuda or cuda:N.
        settings: Single settings of both, as section.key=value; several may follow.
        faster: Run folder or model file of a Faster R-CNN.
        fast: Run folder or model file of a Fast R-CNN that was trained on selective search.
        proposals: File of selective search for all images; computed where not given.
        split: Which part of the data to measure on; test where there is one, else val.
        images: How many of its images are timed.
        rounds: How many times each of them is timed.
        out: Folder for runs, proposals and the page; runs/NAME-comparison where not given.
        json: File for the numbers; - for standard output.
    """
    announce(f"comparing two systems on {data}")
    from faster_rcnn.cli.bodies import compare as job

    flags = {
        "epochs": epochs,
        "batch": batch,
        "lr": lr,
        "image_size": image_size,
        "seed": seed,
        "device": None if device == "auto" else device,
    }
    given = job.Given(faster, fast, proposals)
    training = job.Training(model, settings or (), flags)
    return job.run(data, given, training, split=split, images=images, rounds=rounds, out=out, json=json, device=device)
