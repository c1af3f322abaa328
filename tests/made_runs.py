"""Runs of training at their first step, for tests that go on from there."""

from __future__ import annotations

from pathlib import Path

import torch

from faster_rcnn.building import build_model
from faster_rcnn.data.loading import TrainingLoader
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.training.averaging import AveragedModel
from faster_rcnn.training.optimizer import build_optimizer
from faster_rcnn.training.running import Run
from faster_rcnn.training.state import Progress
from made_data import training_config


def prepared(data: Path, folder: Path, **training: object) -> Run:
    config = training_config(**training)
    dataset = load_dataset(data, config.data)
    torch.manual_seed(config.training.seed)
    model = build_model(config, len(dataset.classes))
    folder.mkdir(exist_ok=True)
    return Run(
        folder=folder,
        config=config,
        classes=dataset.classes,
        model=model,
        trained=model,
        optimizer=build_optimizer(model, lr=0.1, momentum=0.9, weight_decay=1e-4),
        average=AveragedModel(model, config.training.ema_decay) if config.training.ema_decay else None,
        train=TrainingLoader(dataset.splits["train"], config.image, config.training, config.data),
        val=dataset.splits.get("val"),
        precision=torch.float32,
        progress=Progress(),
    )
