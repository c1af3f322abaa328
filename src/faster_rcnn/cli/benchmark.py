"""The command ``faster-rcnn benchmark``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from faster_rcnn.cli.options import Integer, JsonOut, PixelsOfSide, Precision, announce_work
from faster_rcnn.cli.outputs import deliver, model_file, refuse_same_file, require_folder, require_json
from faster_rcnn.errors import OptionError
from faster_rcnn.system.atomic import make_folder
from faster_rcnn.system.console import say

if TYPE_CHECKING:
    from faster_rcnn.benchmark.report import Benchmark
    from faster_rcnn.benchmark.values import Amount
    from faster_rcnn.weights.model_file import LoadedModel

TARGET = "target.safetensors"
"""File in --out: the detector with the settings that keep an image below --target-ms."""


def benchmark(
    model: str,
    /,
    *,
    images: Annotated[list[str] | None, Parameter(consume_multiple=1, negative="")] = None,
    image_size: PixelsOfSide | None = None,
    count: Integer = 20,
    rounds: Integer = 3,
    precision: Precision = "auto",
    device: str = "auto",
    compare: str | None = None,
    compile: Annotated[bool, Parameter(negative="")] = False,
    target_ms: float | None = None,
    live: float | None = None,
    deadline_ms: float | None = None,
    seconds: float | None = None,
    data: Path | None = None,
    split: str | None = None,
    out: Path | None = None,
    json: JsonOut = None,
) -> int:
    """Time a detector stage by stage, and compare it with the lower bound that its convolutions set.

    Args:
        model: Model file, run folder, exported file or published name; or a preset, with random weights.
        images: Image files, folders or patterns; by default a made-up picture of the model's own size.
        image_size: Pixels of the shorter side; the longer side's limit follows.
        count: How many images are timed at most.
        rounds: How many times each of them is timed.
        precision: Number format of convolutions and matrix products; auto is the fastest one.
        device: Device that computes: auto, cpu, cuda or cuda:N.
        compare: Peers with the same weights, timed in turn: any of torchvision,onnxruntime,openvino.
        compile: Time the compiled detector too, in turn.
        target_ms: Find the image size and number of proposals that keep an image below this many milliseconds.
        live: Play the images as a stream of this many frames per second, of which a busy detector drops some.
        deadline_ms: Milliseconds within which a frame of --live must have its boxes; by default the time between two
            frames.
        seconds: How long the frames of --live come; by default 10.
        data: Labelled images for --target-ms: what smaller images and fewer proposals cost in AP.
        split: Split of these data; by default test where there is one, else val.
        out: Folder for the page benchmark.html, and for the detector that --target-ms finds.
        json: File for the numbers; - for standard output.
    """
    announce_work(f"timing {model}")
    from faster_rcnn.benchmark.live import live_of
    from faster_rcnn.benchmark.loading import at_image_size, load_or_build, refuse_single_stages
    from faster_rcnn.benchmark.report import PAGE, write_benchmark
    from faster_rcnn.benchmark.run import Request, run_benchmark
    from faster_rcnn.benchmark.runtimes import runtimes_named
    from faster_rcnn.benchmark.target import goal_of
    from faster_rcnn.benchmark.values import Amount
    from faster_rcnn.inference.sources import require_files
    from faster_rcnn.system.devices import choose_device
    from faster_rcnn.weights.exported import is_exported

    if is_exported(model):
        others = image_size, compare, compile or None, target_ms, live, deadline_ms, seconds, data, split, out
        return _time_exported(model, images, Amount(count, rounds), precision, device, json, others)
    amount, goal = Amount(count, rounds), goal_of(target_ms, data, split)
    stream = live_of(live, deadline_ms, seconds)
    place = choose_device(device)
    require_json(json, [model_file(model), data])
    require_folder("--out", out)
    refuse_same_file({"--out": None if out is None else out / PAGE, "--json": json})
    runtimes = [] if compare is None else runtimes_named(compare)
    paths = require_files(images, "timed")[:count] if images else []
    loaded = at_image_size(load_or_build(model), image_size)
    refuse_single_stages(model, loaded.config)
    found = run_benchmark(loaded, Request(model, place, precision, paths, amount, runtimes, compile, goal, stream))
    deliver(found, json)
    if out is not None:
        make_folder(out)
        say(f"drawn in {write_benchmark(out, found)}")
        _write_target(out, loaded, found)
    return 2 if found.target is not None and found.target.chosen is None else 0


def _time_exported(
    model: str,
    images: list[str] | None,
    amount: Amount,
    precision: str,
    device: str,
    json: str | None,
    others: tuple[object, ...],
) -> int:
    """Time an exported file, whose runtime shows no stages; ``others`` are options that it has no use for."""
    from faster_rcnn.benchmark.exported import time_exported
    from faster_rcnn.inference.loading import load_detector
    from faster_rcnn.inference.sources import require_files

    if any(each is not None for each in others):
        raise OptionError(
            f"{model} is an exported file, which is timed as a whole: --images, --count, --rounds and --json are for "
            "it, the other options are for the model file",
            code="E125",
        )
    require_json(json, [model_file(model)])
    paths = require_files(images, "timed")[: amount.images] if images else []
    deliver(time_exported(model, load_detector(model, precision, device), paths, amount), json)
    return 0


def _write_target(out: Path, loaded: LoadedModel, found: Benchmark) -> None:
    """Write the detector with the settings that were chosen for --target-ms, where there are some."""
    from faster_rcnn.weights.model_file import write_loaded

    if found.target is not None and found.target.chosen is not None:
        write_loaded(out / TARGET, replace(loaded, config=found.target.chosen.config))
        say(f"the detector with these settings: {out / TARGET}")
