"""``faster-rcnn benchmark``: where the time of one image goes, stage by stage, and how near that is to its floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from PIL import Image
from torch.nn.functional import interpolate

from faster_rcnn.acceleration.selection import precision_for
from faster_rcnn.benchmark.report import Benchmark, write_benchmark
from faster_rcnn.benchmark.runtimes import Runner, runners, runtimes_named
from faster_rcnn.benchmark.target import Goal, Target, find_target
from faster_rcnn.benchmark.timing import (
    Amount,
    floor_of,
    machine_of,
    peak_memory,
    pixels_of,
    runner_of,
    time_contenders,
    time_detector,
)
from faster_rcnn.benchmark.values import Spread, Used
from faster_rcnn.cli.outputs import STDOUT, model_file, require_folder, require_json, write_json
from faster_rcnn.errors import ModelFileError, OptionError
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.sources import find_images, is_pipe
from faster_rcnn.settings.presets import PRESETS, preset
from faster_rcnn.settings.resolve import resolve_config
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ImageSize
from faster_rcnn.system.atomic import make_folder
from faster_rcnn.system.console import say, show, warn
from faster_rcnn.system.devices import choose_device, precision_name
from faster_rcnn.weights.classes import coco_80_classes
from faster_rcnn.weights.foreign.published import resolve_model
from faster_rcnn.weights.foreign.torchvision_checkpoint import Plan
from faster_rcnn.weights.foreign.torchvision_detector import plan_torchvision, torchvision_detector
from faster_rcnn.weights.model_file import LoadedModel, new_model, save_model

MADE_UP = "made-up.jpg"
TARGET = "target.safetensors"
"""In the folder of the page: the detector with the numbers that keep an image below a time."""
PATCH = 48
"""Pixels from one random colour of the made-up picture to the next."""


def run(
    model: str,
    *,
    images: Sequence[str] | None = None,
    image_size: int | None = None,
    amount: Amount | None = None,
    precision: str = "auto",
    compare: str | None = None,
    compile: bool = False,
    goal: Goal | None = None,
    out: Path | None = None,
    json: str | None = None,
    device: str = "auto",
) -> int:
    """Measure, and write a table, JSON and a page; returns the exit code."""
    place = choose_device(device)
    require_json(json, [model_file(model), None if goal is None else goal.data])
    require_folder("--out", out)
    amount = amount or Amount()
    others = [] if compare is None else runtimes_named(compare)
    given = _images(images, amount.images) if images else []
    loaded = _resized(_model(model), image_size)
    _refuse_other_kinds(model, loaded.config)
    labelled = None if goal is None else goal.labelled(loaded.config)
    plan = plan_torchvision(model, loaded.config) if others else None
    with TemporaryDirectory() as folder:
        size = None if given else own_size(loaded.config)
        paths = given or [made_up_picture(Path(folder) / MADE_UP, own_size(loaded.config))] * amount.images
        used = Used(model, _is_preset(model), precision, len(paths), size, amount.rounds)
        predictor, benchmark = _measure(loaded, used, place, paths, Against(plan, others, compile, Path(folder)))
        if goal is not None:
            say(f"what keeps an image below {goal.milliseconds:g} ms is looked for")
            target = find_target(predictor, goal.milliseconds, paths, amount.rounds, labelled)
            benchmark = replace(benchmark, target=target)
    if json != STDOUT:
        show(benchmark.table())
    if json is not None:
        write_json(json, benchmark.to_json())
    if out is not None:
        make_folder(out)
        say(f"drawn in {write_benchmark(out, benchmark)}")
    return _finish(loaded, benchmark.target, out)


def _finish(loaded: LoadedModel, target: Target | None, out: Path | None) -> int:
    """Write the detector with the numbers that were chosen for a time; returns 2 where nothing was fast enough."""
    if target is None:
        return 0
    if target.chosen is None:
        return 2
    if out is not None:
        save_model(out / TARGET, loaded.model, target.chosen.config, loaded.classes, loaded.ranges)
        say(f"the detector with these numbers: {out / TARGET}")
    return 0


@dataclass(frozen=True, slots=True)
class Against:
    """What the detector is compared with."""

    plan: Plan | None
    """Which of torchvision's detectors it is; known where there are others."""
    others: Sequence[str]
    """Runtimes of that."""
    compiled: bool
    """Whether its own compiled form is one."""
    folder: Path
    """For exported files."""


def own_size(config: Config) -> ImageSize:
    """Pixels of a picture of 4 to 3 that need no resizing, or nearly so where the long side's limit is below that."""
    short = config.image.short_side
    return ImageSize(short, max(short, min(config.image.long_side, round(short * 4 / 3))))


def made_up_picture(path: Path, size: ImageSize) -> Path:
    """Write smooth random colours as a JPEG file, the same ones for the same size; returns where it is."""
    generator = torch.Generator().manual_seed(0)
    cells = [-(-side // PATCH) + 1 for side in size]
    colors = torch.rand(1, 3, *cells, generator=generator)
    smooth = interpolate(colors, size=tuple(size), mode="bicubic", align_corners=True)[0]
    pixels = (smooth.clamp(0, 1) * 255).to(torch.uint8).permute(1, 2, 0).contiguous()
    Image.fromarray(pixels.numpy()).save(path, quality=90)
    return path


def _images(sources: Sequence[str], most: int) -> list[Path]:
    """The first images of all sources; a source without one is told, and stops the work where no other has one."""
    found = find_images(sources)
    if not found.names:
        raise OptionError("; ".join(found.unused), code="E122")
    for line in found.unused:
        warn(f"E122 {line}; the others are timed")
    pipes = [name for name in found.names if is_pipe(name)]
    if pipes:
        raise OptionError(
            f"--images {pipes[0]} can be read only once, and images are timed again and again; give a file"
        )
    return [Path(name) for name in found.names[:most]]


def _is_preset(model: str) -> bool:
    return model in PRESETS and not Path(model).exists()


def _model(model: str) -> LoadedModel:
    """A trained detector, or that of a preset with random weights, always the same, for COCO's 80 classes."""
    if not _is_preset(model):
        close = [] if Path(model).exists() else get_close_matches(model, PRESETS, n=1)
        if close:
            raise ModelFileError(
                f"there is no model file, run folder or preset '{model}'; did you mean '{close[0]}'?", code="E123"
            )
        return resolve_model(model)
    say(f"{model} is a preset: its weights are random, so times of proposals and post-processing mean little")
    config, classes = preset(model), coco_80_classes()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LoadedModel(new_model(model, config, classes).eval(), config, classes)


def _resized(loaded: LoadedModel, image_size: int | None) -> LoadedModel:
    """The same detector for images of another size."""
    config = resolve_config(None, None, (), {"image_size": image_size}, start=loaded.config)
    loaded.model.image = config.image
    return replace(loaded, config=config)


def _refuse_other_kinds(model: str, config: Config) -> None:
    kind = config.detector.kind
    if kind == "faster-rcnn":
        return
    hint = "a Fast R-CNN beside a Faster R-CNN is timed by: faster-rcnn compare"
    if kind == "rpn":
        hint = "for the time of a first stage, name a detector that has a second one, too"
    raise OptionError(f"{model}: its detector.kind is {kind}, and what is timed are detectors with both stages; {hint}")


def _measure(
    loaded: LoadedModel, used: Used, device: torch.device, images: Sequence[Path], against: Against
) -> tuple[Predictor, Benchmark]:
    exact = used.precision == "float32"
    predictor = Predictor(loaded, device, precision_for(loaded, used.precision, device), exact=exact, batch=1)
    if against.compiled and predictor.precision == torch.int8:
        raise OptionError(
            f"--compile: {used.model} works in 8 bits, which are not compiled; leave it out, or take floats",
            code="E125",
        )
    say(f"{used.model} in {precision_name(predictor.precision)} on {device}; images: {used.images_text}")
    measured = time_detector(predictor, images, used.rounds)
    memory = peak_memory()  # before anything that a user's process would not do
    others = _others(loaded, predictor, exact, against, images)
    return predictor, Benchmark(
        used=replace(used, precision=precision_name(predictor.precision)),
        machine=machine_of(predictor),
        times=measured.times,
        latency=Spread.of(measured.latency),
        stream=measured.stream,
        floor=floor_of(predictor, images),
        memory=memory,
        layout=None if against.plan is None else against.plan.layout,
        contenders=time_contenders(predictor, others, images, used.rounds) if others else (),
    )


def _others(
    loaded: LoadedModel, ours: Predictor, exact: bool, against: Against, images: Sequence[Path]
) -> list[Runner]:
    """Our compiled form where it is asked for, and torchvision's detector in each runtime."""
    found = []
    if against.compiled:
        compiled = Predictor(loaded, ours.device, ours.precision, exact=exact, compile=True, tell=say, batch=1)
        found.append(runner_of("ours, compiled", compiled))
    if against.plan is not None:
        theirs = torchvision_detector(loaded, against.plan).to(ours.device)
        example = pixels_of(ours, images[0])
        found += runners(against.others, theirs, example, ours.floats, against.folder)
    return found
