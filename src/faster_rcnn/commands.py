"""The commands of ``faster-rcnn``: their options, and the job that each of them starts.

Jobs are imported when their command runs, because torch takes seconds and ``--help`` should not.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from faster_rcnn import __version__

Precision = Literal["auto", "float32", "bfloat16"]
Switch = Annotated[bool, Parameter(negative="")]
Settings = Annotated[list[str] | None, Parameter(name="--set", consume_multiple=1, negative="")]


def _refuse_option(kind: object, value: str | None) -> None:
    """``-`` may be a value, but in ``--json --out x`` a value was forgotten."""
    if value is not None and value.startswith("-") and value != "-":
        raise ValueError("give a file name, or - for standard output")


JsonOut = Annotated[str | None, Parameter(allow_leading_hyphen=True, validator=_refuse_option)]

app = App(
    name="faster-rcnn",
    help="Faster R-CNN: train, evaluate and run the two-stage object detector.",
    help_epilogue="With any command, --debug shows the traceback of a fault.",
    version=__version__,
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # main() tells Ctrl-C from SIGTERM
)


@app.command
def demo(*, out: Path | None = None) -> int:
    """Train, evaluate and predict on built-in pictures of handwritten digits, in a few minutes.

    Args:
        out: Folder for the run and its pictures.
    """
    _announce("the demo: handwritten digits, found in pictures")
    from faster_rcnn.jobs import demo as job

    return job.run(out)


@app.command
def train(
    data: Path,
    /,
    *,
    model: str | None = None,
    weights: str | None = None,
    out: Path | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    image_size: int | None = None,
    seed: int | None = None,
    workers: int | None = None,
    device: str | None = None,
    precision: Precision | None = None,
    config: Path | None = None,
    settings: Settings = None,
    proposals: Path | None = None,
    resume: Switch = False,
) -> int:
    """Train a detector on labelled images, and keep the best one.

    Args:
        data: Folder or file of labelled images: COCO JSON, VOC, YOLO or CSV, recognised by looking.
        model: Preset that the settings start from: small, base, base-v2, mobile, mobile-320, paper, c4.
        weights: Model file, run folder or published name to start from instead of ImageNet weights.
        out: Run folder; a new one below runs/ where not given.
        epochs: Passes over the training images.
        batch: Images per step.
        lr: Learning rate for 16 images per step; scaled to the batch.
        image_size: Pixels of the shorter side; the longer side's limit follows.
        seed: Of weights, order, augmentation and sampling.
        workers: Processes that decode images ahead.
        device: auto, cpu, cuda or cuda:N.
        precision: Of convolutions and matrix products; auto takes bfloat16 where it is fast.
        config: YAML file of settings, as `faster-rcnn config` prints it.
        settings: Single settings, as section.key=value; several may follow.
        proposals: File of proposals; the second stage alone is trained on them (Fast R-CNN).
        resume: Go on with the run in --out.
    """
    _announce(f"training on {data}")
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
    proposals: Path | None = None,
    json: JsonOut = None,
) -> int:
    """Measure a detector on labelled images: COCO's twelve numbers, and each class.

    Args:
        model: Model file, run folder or published name; or a COCO results JSON, or the lines of `predict --json`.
        data: Folder or file of labelled images.
        split: Which part of them; test where there is one, else val.
        precision: Of convolutions and matrix products.
        proposals: File of proposals for the second stage; a Fast R-CNN without one searches for itself.
        json: File for the numbers; - for standard output.
    """
    _announce(f"evaluating {model} on {data}")
    from faster_rcnn.jobs import evaluate as job

    return job.run(model, data, split=split, precision=precision, json=json, proposals=proposals)


@app.command
def predict(
    model: str,
    source: Annotated[list[str], Parameter(required=True)],
    /,
    *,
    conf: float = 0.5,
    max_det: int | None = None,
    precision: Precision = "auto",
    out: Path | None = None,
    json: JsonOut = None,
) -> int:
    """Find objects in images; draw them, or write them as JSON lines.

    Args:
        model: Model file, run folder or published name.
        source: Image files, folders or patterns such as 'photos/*.jpg'.
        conf: Lowest score that is reported.
        max_det: Most detections of one image.
        precision: Of convolutions and matrix products.
        out: Folder for the pictures with their boxes.
        json: File for one JSON object per image; - for standard output.
    """
    _announce(f"predicting with {model}")
    from faster_rcnn.jobs import predict as job

    return job.run(model, source, conf=conf, max_det=max_det, precision=precision, out=out, json=json)


@app.command
def proposals(
    data: Path,
    /,
    *,
    method: Literal["selective-search", "rpn"],
    out: Path,
    model: str | None = None,
    mode: Literal["fast", "quality"] = "fast",
    json: JsonOut = None,
) -> int:
    """Propose where objects may be in every image, write that down for Fast R-CNN, and tell its recall.

    Args:
        data: Folder or file of labelled images.
        method: Selective search, or the first stage of a detector.
        out: File of proposals to write.
        model: With the method rpn: model file, run folder or published name.
        mode: Of selective search.
        json: File for the recall of each split; - for standard output.
    """
    _announce(f"proposals for {data}")
    from faster_rcnn.jobs import proposals as job

    return job.run(data, method=method, model=model, mode=mode, out=out, json=json)


@app.command
def compare(
    data: Path,
    /,
    *,
    model: str | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    image_size: int | None = None,
    seed: int | None = None,
    settings: Settings = None,
    faster: str | None = None,
    fast: str | None = None,
    proposals: Path | None = None,
    split: str | None = None,
    images: int = 20,
    rounds: int = 3,
    out: Path | None = None,
    json: JsonOut = None,
) -> int:
    """Faster R-CNN against Fast R-CNN with selective search: time of each stage, recall, AP; same body, same budget.

    Trains both, or takes both with --faster and --fast; what an earlier call has trained or proposed is used again.

    Args:
        data: Folder or file of labelled images.
        model: Preset that both are trained with.
        epochs: Passes over the training images, for each.
        batch: Images per step.
        lr: Learning rate for 16 images per step; scaled to the batch.
        image_size: Pixels of the shorter side; the longer side's limit follows.
        seed: Of weights, order, augmentation and sampling.
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
    _announce(f"comparing two systems on {data}")
    from faster_rcnn.jobs import compare as job

    flags = {"epochs": epochs, "batch": batch, "lr": lr, "image_size": image_size, "seed": seed}
    given = job.Given(faster, fast, proposals)
    training = job.Training(model, settings or (), flags)
    return job.run(data, given, training, split=split, images=images, rounds=rounds, out=out, json=json)


@app.command(name="import")
def import_weights(file: Path, /, *, layout: str, out: Path, classes: str | None = None) -> int:
    """Make a model file of a checkpoint that torchvision's detectors wrote.

    Args:
        file: The checkpoint: a state dict, as .pth or .safetensors.
        layout: What wrote it, such as torchvision:fasterrcnn_resnet50_fpn.
        out: Model file to write.
        classes: Names as a,b,c, or a file with one a line; COCO's where the size fits.
    """
    _announce(f"importing {file}")
    from faster_rcnn.jobs import import_weights as job

    return job.run(file, layout=layout, classes=classes, out=out)


@app.command
def config(*, model: str = "small") -> int:
    """Print the whole configuration as YAML, each field with its unit and source; --config reads it back.

    Args:
        model: Preset, model file, run folder or published name.
    """
    from faster_rcnn.jobs import config as job

    return job.run(model)


@app.command
def doctor() -> int:
    """Look at this machine: versions, devices, instruction sets, and a self-test of a few seconds."""
    _announce("looking at this machine")
    from faster_rcnn.jobs import doctor as job

    return job.run()


def _announce(what: str) -> None:
    """The first line, printed before torch is imported."""
    print(f"faster-rcnn {__version__}: {what}", file=sys.stderr, flush=True)
