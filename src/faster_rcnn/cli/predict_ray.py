"""``faster-rcnn predict --engine ray``: prediction of many images on the processes and machines of a Ray cluster."""

from __future__ import annotations

import hashlib
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from faster_rcnn.cli.order import refuse_swapped
from faster_rcnn.cli.outputs import require_folder
from faster_rcnn.cli.predict_options import PredictOptions, refuse_given, refuse_torchrun
from faster_rcnn.errors import OptionError
from faster_rcnn.inference.limits import refuse_limits
from faster_rcnn.inference.sources import STDIN_NAMES, is_pipe, require_images
from faster_rcnn.system.console import say
from faster_rcnn.system.locking import only_writer
from faster_rcnn.system.wording import count_of

if TYPE_CHECKING:
    from faster_rcnn.serving.ray_job import Job, Tally
    from faster_rcnn.serving.remote_files import RemoteFolder
    from faster_rcnn.serving.results_folder import ResultsFolder
    from faster_rcnn.weights.model_file import LoadedModel


DEFAULTS = {"conf": 0.5, "precision": "auto"}
"""Defaults of the options whose value is never absent."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the command predicts."""

    address: str | None
    """A running cluster; without it, one is started on this machine."""
    device: str
    """``auto``, ``cpu`` or ``cuda``."""


def predict_with_ray(
    model: str,
    source: Sequence[str],
    options: PredictOptions,
    *,
    out: Path | None,
    cluster: Cluster,
    refused: Mapping[str, object],
) -> int:
    """Predict all images of the sources into a folder of Parquet files; returns the exit code.

    Args:
        model: model file, run folder or published name.
        source: files, folders, patterns, or addresses of other file systems.
        options: what changes results.
        out: folder of the results; one that was begun earlier is continued.
        cluster: where it is predicted.
        refused: values of options that make no sense with this engine, by their names.
    """
    folder = _require_options(source, cluster.device, out, refused)
    refuse_swapped("predict", model, source)
    refuse_limits(options.conf, options.max_det)
    require_folder("--out", folder)
    from faster_rcnn.serving.ray_cluster import require_ray

    require_ray()
    from faster_rcnn.serving.ray_job import Job
    from faster_rcnn.serving.remote_files import ImageReader
    from faster_rcnn.serving.results_folder import Manifest, ResultsFolder
    from faster_rcnn.weights.model_file import packed_model
    from faster_rcnn.weights.resolve import resolve_model

    names, folders, unused = _found(source)
    loaded = resolve_model(model)
    _refuse_unusable(loaded, options)
    content = packed_model(loaded)
    del loaded  # the processes have their own
    manifest = Manifest(model, hashlib.sha256(content).hexdigest(), options.arguments(), source)
    with only_writer(folder):
        results = ResultsFolder(folder, manifest)
        job = Job(content, options.arguments(), ImageReader(folders))
        failed = _run(job, names, results, cluster, _command(model, source, options, folder, cluster))
    return 2 if failed or unused else 0


def _require_options(source: Sequence[str], device: str, out: Path | None, refused: Mapping[str, object]) -> Path:
    """The folder of the results; raises ``OptionError`` for options that do not go with this engine."""
    refuse_given(refused, "does not go with --engine ray, which writes Parquet files")
    if any(each in STDIN_NAMES or is_pipe(each) for each in source):
        raise OptionError(
            "--engine ray reads images in other processes, which have no standard input and no pipes; give files, "
            "folders or patterns",
            code="E125",
        )
    refuse_torchrun("--engine ray starts processes itself")
    if device not in ("auto", "cpu", "cuda"):
        raise OptionError(
            f"--device {device}: with --engine ray the cluster chooses GPUs; use auto, cpu or cuda", code="E126"
        )
    if out is None:
        raise OptionError("--engine ray needs a folder for its Parquet files; name one with --out", code="E125")
    return out


def _found(source: Sequence[str]) -> tuple[list[str], list[RemoteFolder], bool]:
    """The images of all sources, the folders of other file systems among these, and whether a source is of no use."""
    from faster_rcnn.serving.remote_files import find_remote, is_remote

    here = [each for each in source if not is_remote(each)]
    local = require_images(here, "predicted") if here else None
    remote = [find_remote(each) for each in source if is_remote(each)]
    for note in local.notes if local else ():
        say(note)
    every = [*(local.names if local else ()), *(name for each in remote for name in each.names)]
    names = list(dict.fromkeys(every))
    if repeats := len(every) - len(names) + (local.repeats if local else 0):
        say(f"{count_of(repeats, 'image')} named more than once: each is predicted once")
    _refuse_names(names)
    return names, [each.folder for each in remote], bool(local and local.unused)


def _refuse_names(names: Iterable[str]) -> None:
    """Raise ``OptionError`` for a name that is no UTF-8, which Parquet files cannot hold."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise OptionError(
                f"{name}: this name is no UTF-8, which Parquet files cannot hold; nothing was predicted. Rename the "
                "file",
                code="E125",
            ) from error


def _refuse_unusable(loaded: LoadedModel, options: PredictOptions) -> None:
    """Raise the error of options that do not fit the model here, before any process is started."""
    from faster_rcnn.serving.ray_batch import RayBatch

    RayBatch(loaded, **options.arguments(), device="cpu")


def _run(job: Job, names: Sequence[str], results: ResultsFolder, cluster: Cluster, go_on: str) -> int:
    """Predict the images that the folder does not hold yet, and print a summary; returns the number of failed ones."""
    from faster_rcnn.serving.ray_cluster import connected
    from faster_rcnn.serving.ray_job import Tally, run_job

    held, tally, start = results.held(), Tally(), time.monotonic()
    left = [name for name in names if name not in held]
    failed = sum(held.get(name, False) for name in names)
    done = len(names) - len(left)
    if done:
        say(f"{count_of(done, 'image')} of {len(names)} {'is' if done == 1 else 'are'} in {results.folder} already")
    try:
        if left:
            with connected(cluster.address, cluster.device) as actors:
                unit = "GPU" if actors.gpus else "CPU"
                say(f"Ray: {count_of(actors.count, 'process', 'processes')} with one {unit} each")
                tally = run_job(job, left, done, results, actors)
    except KeyboardInterrupt:
        kept = len(results.held().keys() & set(names))
        verb = "is" if kept == 1 else "are"
        say(f"{count_of(kept, 'image')} of {len(names)} {verb} in {results.folder}; go on with: {go_on}")
        raise
    _say_summary(tally, failed, time.monotonic() - start, results.folder)
    return failed + tally.failed


def _say_summary(tally: Tally, failed_earlier: int, seconds: float, folder: Path) -> None:
    parts = [f"{count_of(tally.images, 'image')}, {count_of(tally.detections, 'detection')}"]
    if tally.images:
        parts[0] += f", {seconds / tally.images:.3f} s per image"
    if tally.failed:
        parts.append(f"{count_of(tally.failed, 'image')} failed, see above")
    if failed_earlier:
        parts.append(f"{count_of(failed_earlier, 'image')} failed in an earlier run, see the column error")
    parts.append(f"Parquet files in {folder}")
    say("; ".join(parts))


def _command(model: str, source: Sequence[str], options: PredictOptions, out: Path, cluster: Cluster) -> str:
    """The command line of this run."""
    flags: list[str] = []
    for each in fields(options):
        value = getattr(options, each.name)
        if value is True:
            flags.append(_flag(each.name))
        elif each.name == "settings" and value:
            flags += ["--set", *value]
        elif value not in (None, False, DEFAULTS.get(each.name)):
            flags += [_flag(each.name), str(value)]
    flags += [] if cluster.device == "auto" else ["--device", cluster.device]
    flags += [] if cluster.address is None else ["--address", cluster.address]
    return shlex.join(["faster-rcnn", "predict", model, *source, "--engine", "ray", "--out", str(out), *flags])


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
