"""``diverged.safetensors``: all that went into a step that diverged, to repeat and examine it anywhere.

One safetensors file, which holds tensors and JSON and never a pickle. The tensors are ``model.NAME`` (weights before
the step), ``random`` (state of torch's random numbers before it) and, for image I of the step, ``image.I.pixels``,
``image.I.boxes``, ``image.I.labels``, ``image.I.ignored`` and, with external proposals, ``image.I.proposals`` and
``image.I.scores``. The JSON is in the metadata under ``diverged``.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from faster_rcnn._version import __version__
from faster_rcnn.data.loading import StepImages
from faster_rcnn.errors import ModelFileError
from faster_rcnn.model import FasterRCNN
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap, GroundTruth, ImageSize, Proposals, TrainingBatch
from faster_rcnn.system.atomic import atomic_write
from faster_rcnn.system.devices import precision_name
from faster_rcnn.training.first_bad import first_bad_tensor
from faster_rcnn.training.run_folder import DIVERGED
from faster_rcnn.training.running import Run
from faster_rcnn.training.step import batch_of
from faster_rcnn.weights.model_file import new_model, stored_tensors

KEY = "diverged"


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A step that diverged."""

    model: FasterRCNN
    """The detector before the step, in training mode on the CPU."""
    batch: TrainingBatch
    """Images, truths and seeds of the step: ``model(batch)`` gives its losses."""
    random: Tensor
    """State of torch's random numbers before the step, for ``torch.set_rng_state``; dropout draws from it."""
    facts: Mapping[str, Any]
    """Step, learning rate, precision, ids and files of the images, what was wrong, settings, classes, versions."""


def write_bundle(run: Run, images: StepImages, lr: float, random: Tensor, fault: str) -> tuple[Path, str | None]:
    """Write the bundle of a step into the run folder; returns its path, and the first tensor that is not finite.

    Where several processes train, the first one writes its own images. It does not search for the tensor then, since
    batch norm would need all processes for the search.

    Args:
        run: the run, whose weights are those before the step.
        images: images of the step.
        lr: learning rate of the step.
        random: state of torch's random numbers before the step.
        fault: what was wrong, in words.
    """
    batch = batch_of(images.own)
    bad = None
    if batch.images and not run.processes.are_several:
        bad = first_bad_tensor(run.model, batch, run.precision, random, run.micro_batch)
    facts = {
        "step": run.progress.step,
        "epoch": run.progress.epoch + 1,
        "lr": lr,
        "precision": precision_name(run.precision),
        "fault": fault,
        "first_bad_tensor": bad,
        "image_ids": [each.image_id for each in images.own],
        "files": [run.train.file_of(each.index) for each in images.own],
        "seeds": list(batch.seeds),
        "canvas": batch.canvas,
        "config": run.config.model_dump(mode="json"),
        "classes": {"names": run.classes.names, "ids": run.classes.ids},
        "versions": {"faster_rcnn": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }
    tensors = {f"model.{name}": tensor for name, tensor in stored_tensors(run.model).items()}
    content = save({**tensors, **_tensors_of(batch), "random": random}, metadata={KEY: json.dumps(facts)})
    with atomic_write(run.folder / DIVERGED) as temporary:
        temporary.write_bytes(content)
    return run.folder / DIVERGED, bad


def read_bundle(path: Path) -> Bundle:
    """Read a bundle; raises ``ModelFileError`` (E123) for any other file. No code in the file is ever executed."""
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()[KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
        config = Config.model_validate(facts["config"])
        classes = ClassMap(tuple(facts["classes"]["names"]), tuple(facts["classes"]["ids"]))
        batch = _batch_in(tensors, facts)
    except (OSError, SafetensorError, ValidationError, ValueError, TypeError, KeyError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ModelFileError(f"{path} is no bundle of a step that diverged: {reason}", code="E123") from error
    model = new_model(path, config, classes)
    weights = {name.removeprefix("model."): each for name, each in tensors.items() if name.startswith("model.")}
    model.load_state_dict(weights, strict=False)
    return Bundle(model.train(), batch, tensors["random"], facts)


def _tensors_of(batch: TrainingBatch) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for index, (pixels, truth) in enumerate(zip(batch.images, batch.truths, strict=True)):
        named = {"pixels": pixels, "boxes": truth.boxes, "labels": truth.labels, "ignored": truth.ignored}
        if batch.proposals is not None:
            named |= {"proposals": batch.proposals[index].boxes, "scores": batch.proposals[index].scores}
        tensors |= {f"image.{index}.{name}": each.contiguous().clone() for name, each in named.items()}
    return tensors


def _batch_in(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> TrainingBatch:
    def all_of(name: str) -> list[Tensor]:
        return [tensors[f"image.{index}.{name}"] for index in range(len(facts["seeds"]))]

    truths = map(GroundTruth, all_of("boxes"), all_of("labels"), all_of("ignored"))
    proposals = None
    if "image.0.proposals" in tensors:
        proposals = tuple(map(Proposals, all_of("proposals"), all_of("scores")))
    canvas = None if facts["canvas"] is None else ImageSize(*facts["canvas"])
    return TrainingBatch(tuple(all_of("pixels")), tuple(truths), tuple(facts["seeds"]), proposals, canvas)
