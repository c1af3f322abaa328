"""Times one detector stage by stage, as a whole, as a stream, and in turn with others of the same weights."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from faster_rcnn.benchmark.live import Live, LiveRequest, play
from faster_rcnn.benchmark.loading import is_preset
from faster_rcnn.benchmark.picture import FILE_NAME, made_up_picture, own_size
from faster_rcnn.benchmark.report import Benchmark
from faster_rcnn.benchmark.runtimes import Runner, runners
from faster_rcnn.benchmark.target import Goal, find_target
from faster_rcnn.benchmark.timing import (
    MIN_SCORE,
    machine_of,
    peak_memory,
    pixels_of,
    roofline_of,
    runner_of,
    time_contenders,
    time_detector,
)
from faster_rcnn.benchmark.values import Amount, BenchmarkSetup, Spread
from faster_rcnn.errors import OptionError
from faster_rcnn.inference.loading import ready_detector
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import PreparedDetector
from faster_rcnn.system.devices import precision_name
from faster_rcnn.weights.foreign.torchvision_checkpoint import Plan
from faster_rcnn.weights.foreign.torchvision_detector import plan_torchvision, torchvision_detector
from faster_rcnn.weights.model_file import LoadedModel

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What is timed, and how."""

    model: str
    """The detector's name in messages and results."""
    device: torch.device
    precision: str = "auto"
    images: Sequence[Path] = ()
    """Without any, a made-up picture of the model's own size is timed."""
    amount: Amount = Amount()  # noqa: RUF009  # it is frozen
    runtimes: Sequence[str] = ()
    """Runtimes of torchvision's detector with the same weights, which is timed in turn."""
    compiled: bool = False
    """Whether the compiled detector is timed in turn."""
    goal: Goal | None = None
    """A time limit for which image size and number of proposals are searched."""
    live: LiveRequest | None = None
    """A live stream that is played."""


def run_benchmark(loaded: LoadedModel, request: Request) -> Benchmark:
    """Time a detector with both stages.

    Raises:
        OptionError: int8 is requested on a GPU (E126) or compiled (E125).
        ModelFileError: torchvision has no detector like this one, or int8 is requested without activation ranges.
        ImageError: an image cannot be decoded.
        DatasetError: the labelled images of the goal cannot be used.
        MachineError: a peer's process ended, or there is no compiler.
    """
    labelled = None if request.goal is None else request.goal.labelled(loaded.config)
    plan = plan_torchvision(request.model, loaded.config) if request.runtimes else None
    with TemporaryDirectory() as folder:
        size = None if request.images else own_size(loaded.config)
        images = list(request.images)
        if size is not None:
            images = [made_up_picture(Path(folder) / FILE_NAME, size)] * request.amount.images
        detector = _detector(loaded, request)
        predictor, precision = Predictor(detector, batch=1), precision_name(detector.precision)
        setup = BenchmarkSetup(
            request.model, is_preset(request.model), precision, len(images), size, request.amount.rounds
        )
        _LOG.info(f"{request.model} in {precision} on {request.device}; images: {setup.images_text}")
        measured = time_detector(predictor, images, setup.rounds)
        memory = peak_memory()  # before anything that a user's process would not do
        others = _others(loaded, predictor, request, plan, images[0], Path(folder))
        roofline = roofline_of(predictor, images)
        contenders = time_contenders(predictor, others, images, setup.rounds) if others else ()
        live = None if request.live is None else _play(predictor, images, request.live)
        target = None
        if request.goal is not None:
            _LOG.info(f"searching for settings below {request.goal.milliseconds:g} ms per image")
            target = find_target(detector, request.goal.milliseconds, images, setup.rounds, labelled)
    return Benchmark(
        setup=setup,
        machine=machine_of(predictor),
        times=measured.times,
        latency=Spread.of(measured.latency),
        stream=measured.stream,
        roofline=roofline,
        memory=memory,
        layout=None if plan is None else plan.layout,
        contenders=contenders,
        target=target,
        live=live,
    )


def _play(predictor: Predictor, images: Sequence[Path], request: LiveRequest) -> Live:
    """Play the decoded images as a live stream."""
    _LOG.info(f"playing {request.frames} frames, {request.rate:g} a second")
    frames = [pixels_of(predictor, path) for path in dict.fromkeys(images)]
    return play(frames, lambda frame: predictor.predict_one(frame, MIN_SCORE), request)


def _detector(loaded: LoadedModel, request: Request) -> PreparedDetector:
    detector = ready_detector(loaded, request.precision, str(request.device))
    if request.compiled and detector.precision == torch.int8:
        raise OptionError(
            f"--compile: {request.model} computes in int8, which is not compiled; leave the option out, or choose "
            "another --precision",
            code="E125",
        )
    return detector


def _others(
    loaded: LoadedModel, ours: Predictor, request: Request, plan: Plan | None, example: Path, folder: Path
) -> list[Runner]:
    """Our compiled detector where it is requested, and torchvision's detector in each runtime.

    Args:
        loaded: our detector.
        ours: the same, ready to predict.
        request: what is compared.
        plan: which of torchvision's detectors ours is.
        example: image with which torchvision's detector is exported.
        folder: folder for exported files.
    """
    found = []
    if request.compiled:
        compiled = ready_detector(loaded, request.precision, str(request.device), compile=True)
        found.append(runner_of("ours, compiled", Predictor(compiled, batch=1)))
    if plan is not None:
        theirs = torchvision_detector(loaded, plan).to(request.device)
        found += runners(request.runtimes, theirs, pixels_of(ours, example), ours.detector.floats, folder)
    return found
