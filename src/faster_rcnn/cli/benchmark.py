"""The command ``faster-rcnn benchmark``: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from faster_rcnn.cli.options import Integer, JsonOut, Precision, announce


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
    from faster_rcnn.benchmark.target import goal_of
    from faster_rcnn.benchmark.timing import Amount
    from faster_rcnn.cli.bodies import benchmark as job

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
