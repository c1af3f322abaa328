"""Model files, settings, the machine, and how fast a detector is on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from faster_rcnn.commands.app import Integer, JsonOut, Precision, Settings, announce, app


@app.command(name="import")
def import_weights(
    file: Path,
    /,
    *,
    layout: str,
    out: Path,
    classes: str | None = None,
    settings: Settings = None,
    key: str | None = None,
) -> int:
    """Make a model file of a checkpoint that torchvision's or Detectron2's detectors wrote.

    Args:
        file: The checkpoint: a state dict or what holds one, as .pth, .ckpt or .safetensors, or Detectron2's .pkl.
        layout: What wrote it, such as torchvision:fasterrcnn_resnet50_fpn or detectron2:faster_rcnn_R_50_FPN_3x.
        out: Model file to write.
        classes: Names as a,b,c, or a file with one a line; COCO's where the size fits.
        settings: Settings that the weights do not hold, such as rpn.anchor_sizes, as section.key=value.
        key: Which weights, where the file has several sets, such as model_ema.
    """
    announce(f"importing {file}")
    from faster_rcnn.jobs import import_weights as job

    return job.run(file, layout=layout, classes=classes, out=out, settings=settings or (), key=key)


@app.command
def export(model: str, /, *, out: Path, layout: str | None = None) -> int:
    """Write a checkpoint that torchvision's own detectors load, and print the call that builds the detector.

    Args:
        model: Model file, run folder or published name.
        out: File to write: .pth for torch.load, or .safetensors.
        layout: Such as torchvision:fasterrcnn_resnet50_fpn; the one that fits where not given.
    """
    announce(f"exporting {model}")
    from faster_rcnn.jobs import export as job

    return job.run(model, layout=layout, out=out)


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
    announce("looking at this machine")
    from faster_rcnn.jobs import doctor as job

    return job.run()


@app.command
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
    from faster_rcnn.jobs import quantize as job

    return job.run(model, data, count=count, split=split, out=out, json=json, device=device)


@app.command
def benchmark(
    model: str,
    /,
    *,
    images: Annotated[list[str] | None, Parameter(consume_multiple=1, negative="")] = None,
    image_size: Integer | None = None,
    count: Integer = 20,
    rounds: Integer = 3,
    precision: Precision = "auto",
    device: str = "auto",
    compare: str | None = None,
    compile: Annotated[bool, Parameter(negative="")] = False,
    target_ms: float | None = None,
    data: Path | None = None,
    split: str | None = None,
    out: Path | None = None,
    json: JsonOut = None,
) -> int:
    """Where the time of one image goes, stage by stage, and the floor that its convolutions set.

    Args:
        model: Model file, run folder or published name; or a preset, with random weights.
        images: Image files, folders or patterns; a made-up picture of the model's own size where not given.
        image_size: Pixels of the shorter side; the longer side's limit follows.
        count: How many images are timed at most.
        rounds: How many times each of them is timed.
        precision: Number format of convolutions and matrix products; auto is the fastest one.
        device: Device that computes: auto, cpu, cuda or cuda:N.
        compare: Others with the same weights, timed in turn: any of torchvision,onnxruntime,openvino.
        compile: Time the compiled detector, too, in turn.
        target_ms: Find the image size and number of proposals that keep an image below so many milliseconds.
        data: Labelled images for --target-ms: what smaller images and fewer proposals cost in AP.
        split: Part of these data; test where there is one, else val.
        out: Folder for the page benchmark.html, and for the detector that --target-ms finds.
        json: File for the numbers; - for standard output.
    """
    announce(f"timing {model}")
    from faster_rcnn.jobs import benchmark as job
    from faster_rcnn.jobs.target import goal_of
    from faster_rcnn.jobs.timing import Amount

    return job.run(
        model,
        images=images,
        image_size=image_size,
        amount=Amount(count, rounds),
        precision=precision,
        device=device,
        compare=compare,
        compile=compile,
        goal=goal_of(target_ms, data, split),
        out=out,
        json=json,
    )


@app.command
def completion(shell: Literal["bash", "zsh", "fish", "powershell"], /) -> int:
    """Print the script by which a shell completes commands and options; --install-completion puts it in its place.

    Args:
        shell: Shell that the script is for.
    """
    print(app.generate_completion(prog_name="faster-rcnn", shell=shell))
    return 0


app.register_install_completion_command(help="Let the shell that runs complete commands and options from now on.")
