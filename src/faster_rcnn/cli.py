"""The command ``faster-rcnn``: reads the options, starts one job, turns every fault into one line and an exit code.

Jobs are imported when their command runs, because torch takes seconds and ``--help`` should not.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal, NoReturn

from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError

from faster_rcnn import __version__
from faster_rcnn.errors import FasterRCNNError

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


class Terminated(KeyboardInterrupt):
    """SIGTERM: whatever saves its work on Ctrl-C does so for this too."""

    signal = signal.SIGTERM


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
    resume: Switch = False,
) -> int:
    """Train a detector on labelled images, and keep the best one.

    Args:
        data: Folder or file of labelled images: COCO JSON, VOC, YOLO or CSV, recognised by looking.
        model: Preset that the settings start from: small, base, base-v2, mobile, mobile-320.
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
        resume: Go on with the run in --out.
    """
    _announce(f"training on {data}")
    from faster_rcnn.jobs import train as job

    return job.run(
        data,
        model=model,
        weights=weights,
        out=out,
        epochs=epochs,
        batch=batch,
        lr=lr,
        image_size=image_size,
        seed=seed,
        workers=workers,
        device=device,
        precision=precision,
        config=config,
        settings=settings or (),
        resume=resume,
    )


@app.command
def evaluate(
    model: str,
    data: Path,
    /,
    *,
    split: str | None = None,
    precision: Precision = "auto",
    json: JsonOut = None,
) -> int:
    """Measure a detector on labelled images: COCO's twelve numbers, and each class.

    Args:
        model: Model file, run folder or published name; or a COCO results JSON, or the lines of `predict --json`.
        data: Folder or file of labelled images.
        split: Which part of them; test where there is one, else val.
        precision: Of convolutions and matrix products.
        json: File for the numbers; - for standard output.
    """
    _announce(f"evaluating {model} on {data}")
    from faster_rcnn.jobs import evaluate as job

    return job.run(model, data, split=split, precision=precision, json=json)


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns its exit code.

    0 done, 1 internal fault, 2 data and options, 3 diverged training, 4 an output that failed its own check,
    5 the machine, 130 and 143 interrupted (Ctrl-C, SIGTERM).
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = [each for each in given if each != "--debug"]
    try:
        with _sigterm_interrupts():
            code: int | None = app(command, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # the last door: nobody else is left to tell
        if len(command) < len(given):
            traceback.print_exception(error)
        line, code = _explain(error)
        if line:
            print(f"faster-rcnn: {line}", file=sys.stderr)
    return code or 0


def _announce(what: str) -> None:
    """The first line, printed before torch is imported."""
    print(f"faster-rcnn {__version__}: {what}", file=sys.stderr, flush=True)


def _explain(error: BaseException) -> tuple[str | None, int]:
    """One line for the user (none where nobody reads any more), and the exit code."""
    text = " ".join(str(error).splitlines())
    match error:
        case FasterRCNNError():
            return f"error: {text}", error.exit_code
        case UnusedCliTokensError():
            return f"error: too many arguments: {' '.join(error.unused_tokens or ())}", 2
        case CycloptsError():
            return f"error: {text[:1].lower()}{text[1:]}", 2
        case KeyboardInterrupt():
            return "interrupted", 128 + getattr(error, "signal", signal.SIGINT)
        case BrokenPipeError():
            _discard_stdout()
            return None, 141  # as a shell reports a writer that SIGPIPE ended
        case MemoryError():
            return "error: out of memory", 5
    if type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in text:  # torch's, not imported here
        return f"error: out of memory: {text}", 5
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
        return f"error: {error.strerror}: {error.filename}" if error.filename else f"error: {error.strerror}", 5
    return f"internal fault: {type(error).__name__}: {text} (run again with --debug for the traceback)", 1


def _discard_stdout() -> None:
    """Let the interpreter's last flush go nowhere, instead of failing with a message of its own."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """SIGTERM raises ``Terminated`` in this process; a forked data worker just ends."""
    owner = os.getpid()

    def stop(signum: int, frame: FrameType | None) -> NoReturn:
        if os.getpid() != owner:
            os._exit(143)
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
