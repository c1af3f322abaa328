"""``faster-rcnn train``: labelled images in, a run folder with the best and the last model out."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from faster_rcnn import __version__
from faster_rcnn.building import build_model
from faster_rcnn.config import Config
from faster_rcnn.data.loading import TrainingLoader
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.data.records import Dataset, Split
from faster_rcnn.devices import choose_device, choose_precision
from faster_rcnn.errors import DatasetError
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.jobs.console import say, warn
from faster_rcnn.jobs.examples import Example, find_examples
from faster_rcnn.jobs.measuring import measure_split
from faster_rcnn.jobs.report import write_report
from faster_rcnn.jobs.resuming import config_to_resume
from faster_rcnn.jobs.settings import resolve_config
from faster_rcnn.jobs.training_display import TrainingDisplay
from faster_rcnn.model import FasterRCNN
from faster_rcnn.presets import preset
from faster_rcnn.structures import ClassMap
from faster_rcnn.training import run_folder
from faster_rcnn.training.averaging import AveragedModel
from faster_rcnn.training.interruption import stop_signals
from faster_rcnn.training.loop import Interrupted, Progress, Run, restore_state, run_training
from faster_rcnn.training.schedule import build_optimizer, learning_rate_of_batch
from faster_rcnn.training.validation import Validation
from faster_rcnn.weights.finetuning import load_for_finetuning
from faster_rcnn.weights.model_file import LoadedModel, load_model
from faster_rcnn.weights.pretrained import load_pretrained_body
from faster_rcnn.weights.published import resolve_model


def run(
    data: Path,
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
    precision: str | None = None,
    config: Path | None = None,
    settings: Sequence[str] = (),
    resume: bool = False,
) -> int:
    """Train, and say how it went; the options are those of the command."""
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
    train(data, model=model, weights=weights, out=out, config=config, settings=settings, resume=resume, flags=flags)
    return 0


def train(
    data: Path,
    *,
    model: str | None = None,
    weights: str | None = None,
    out: Path | None = None,
    config: Path | None = None,
    settings: Sequence[str] = (),
    resume: bool = False,
    flags: Mapping[str, object] | None = None,
) -> Path:
    """Train a detector on the images of ``data`` and return the run folder; see the command for the options."""
    began = time.perf_counter()
    start = resolve_model(weights) if weights else None
    resolved = resolve_config(model, config, settings, flags or {}, _settings_of(start))
    folder = run_folder.folder_to_resume(out, data) if resume else None
    state = run_folder.read_state(folder) if folder else None
    if folder and state:
        resolved = config_to_resume(folder, model, weights, config, settings, flags or {})
    dataset = _load(data, resolved)
    run = _prepare(resolved, dataset, start if state is None else None, folder or run_folder.new_run_folder(out, data))
    if state:
        restore_state(run, state)
        say(f"going on in {run.folder} after step {run.progress.step}, epoch {run.progress.epoch + 1}")
    return _train(run, data, began)


def _settings_of(start: LoadedModel | None) -> Config | None:
    """Of a detector that training starts from: what it is, not how it was trained or on what."""
    if start is None:
        return None
    fresh = preset(start.config.preset)
    return start.config.model_copy(update={"training": fresh.training, "data": fresh.data})


def _load(data: Path, config: Config) -> Dataset:
    dataset = load_dataset(data, config.data)
    if "train" not in dataset.splits:
        raise DatasetError(
            f"{data} has no split to train on; it has {', '.join(dataset.splits)}. Name its part with "
            "--set data.train=FILE",
            code="E115",
        )
    for name in ("train", "val"):
        if name in dataset.splits:
            for note in dataset.splits[name].notes:
                say(note)
    if "val" not in dataset.splits:
        warn("no validation split: every epoch is trained, and the best model is the last one")
    return dataset


def _prepare(config: Config, dataset: Dataset, start: LoadedModel | None, folder: Path) -> Run:
    """Model, optimizer and loaders of a run at its first step; everything random follows from the seed."""
    settings = config.training
    device = choose_device(settings.device)
    precision = choose_precision(settings.precision, device)
    torch.manual_seed(settings.seed)
    model = build_model(config, len(dataset.classes))
    _initialise(model, config, dataset.classes, start)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lag
    lr = learning_rate_of_batch(settings.lr, settings.batch)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    say(
        f"{config.preset}: {trained:,} weights to train on {device} in {str(precision).removeprefix('torch.')}; "
        f"learning rate {lr:g} for batches of {settings.batch} ({settings.lr:g} for 16); seed {settings.seed}"
    )
    say(f"run folder: {folder}")
    run_folder.write_config(folder, config)
    val = dataset.splits.get("val")
    return Run(
        folder=folder,
        config=config,
        classes=dataset.classes,
        model=model,
        optimizer=build_optimizer(model, lr=lr, momentum=settings.momentum, weight_decay=settings.weight_decay),
        average=AveragedModel(model, settings.ema_decay) if settings.ema_decay else None,
        train=TrainingLoader(dataset.splits["train"], config.image, settings, config.data, tell=warn),
        val=TrainingLoader(val, config.image, settings, config.data, tell=warn) if val else None,
        val_split=val,
        precision=precision,
        progress=Progress(),
    )


def _initialise(model: FasterRCNN, config: Config, classes: ClassMap, start: LoadedModel | None) -> None:
    if start is not None:
        say(load_for_finetuning(model, config, classes, start))
    elif config.backbone.weights == "imagenet":
        say(load_pretrained_body(model, config))
    else:
        say(f"body {config.backbone.body}: random weights")


def _train(run: Run, data: Path, began: float) -> Path:
    display = TrainingDisplay(run.config.training.epochs)
    measured: dict[int, Metrics] = {}

    def measure(split: Split, validation: Validation) -> Mapping[str, float | None]:
        measured[run.progress.epoch] = metrics = measure_split(split, validation.detections)
        return _columns(metrics, split)

    try:
        with stop_signals() as stop, display:
            reason = run_training(run, measure, display, stop)
    except Interrupted:
        say(f"saved after step {run.progress.step}; go on with: {_command_to_resume(run, data)}")
        raise
    finally:
        run.train.close()
        if run.val:
            run.val.close()
    summary = _summary(run, data, reason, time.perf_counter() - began)
    run_folder.write_summary(run.folder, summary)
    ap = f", AP {summary['best']['AP']:.3f}" if summary["best"].get("AP") is not None else ""
    say(f"{reason}; the best model is of epoch {summary['best']['epoch']}{ap}: {run.folder / run_folder.BEST}")
    # The best epoch was not measured here if it came before an interruption.
    _report(run, summary, measured.get(run.progress.best_epoch))
    return run.folder


def _report(run: Run, summary: Mapping[str, Any], metrics: Metrics | None) -> None:
    examples: list[Example] = []
    if run.val_split:
        best = load_model(run.folder / run_folder.BEST)
        device = next(run.model.parameters()).device
        examples = find_examples(Predictor(best, device, run.precision), run.val_split)
    say(f"report: {write_report(run.folder, summary, run.progress.rows, run.config, metrics, examples)}")


def _columns(metrics: Metrics, split: Split) -> Mapping[str, float | None]:
    values = metrics.to_json(split.name)
    return {name: values[name] for name in ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR100")}


def _command_to_resume(run: Run, data: Path) -> str:
    return f"faster-rcnn train {data} --out {run.folder} --resume"


def _summary(run: Run, data: Path, reason: str, seconds: float) -> dict[str, Any]:
    progress = run.progress
    return {
        "data": str(data),
        "preset": run.config.preset,
        "classes": list(run.classes.names),
        "ended": reason,
        "epochs": progress.epoch,
        "steps": progress.step,
        "images": progress.images,
        "best": progress.rows[progress.best_epoch],
        "last": progress.rows[-1],
        "training_seconds": round(progress.training_seconds, 3),
        "training_seconds_per_image": round(progress.training_seconds / progress.images, 4),
        "validation_seconds": round(progress.validation_seconds, 3),
        "total_seconds": round(seconds, 3),
        "device": str(next(run.model.parameters()).device),
        "precision": str(run.precision).removeprefix("torch."),
        "versions": {"faster_rcnn": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }
