"""Small labelled images made on the spot, for tests that train."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from faster_rcnn.settings.schema import Config
from faster_rcnn.settings.train_options import TrainOptions
from faster_rcnn.settings.training import TrainingConfig
from faster_rcnn.training.callback import Callback
from faster_rcnn.training.run import train
from tiny import tiny_config

HEIGHT, WIDTH = 64, 96


def make_squares(folder: Path, images: dict[str, int], seed: int = 0) -> Path:
    """A COCO data set of bright squares ("light", id 7) and dark ones ("dark", id 3) on grey noise."""
    random = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for split, count in images.items():
        records = [{"id": n, "file_name": f"{split}{n}.png", "height": HEIGHT, "width": WIDTH} for n in range(count)]
        annotations = [
            _draw(folder / "images" / str(record["file_name"]), int(str(record["id"])), random) for record in records
        ]
        coco = {
            "images": records,
            "annotations": [{"id": n, **each} for n, each in enumerate(annotations)],
            "categories": [{"id": 3, "name": "dark"}, {"id": 7, "name": "light"}],
        }
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(coco))
    return folder


def _draw(path: Path, image_id: int, random: np.random.Generator) -> dict[str, object]:
    pixels = random.integers(110, 140, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    side = int(random.integers(16, 40))
    x, y = int(random.integers(0, WIDTH - side)), int(random.integers(0, HEIGHT - side))
    light = bool(random.integers(2))
    pixels[y : y + side, x : x + side] = 230 if light else 20
    Image.fromarray(pixels).save(path)
    box = [x, y, side, side]
    return {"image_id": image_id, "category_id": 7 if light else 3, "bbox": box, "area": side * side, "iscrowd": 0}


def training_config(**training: object) -> Config:
    """The tiny detector, with a quick training."""
    numbers: dict[str, object] = {"epochs": 2, "batch": 4, "workers": 0, "precision": "float32", "warmup_steps": 2}
    return tiny_config().model_copy(update={"training": TrainingConfig.model_validate({**numbers, **training})})


def settings_file(folder: Path, **training: object) -> Path:
    """The same as a file of settings."""
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(training_config(**training).model_dump(mode="json")))
    return path


def train_with(data: Path, *, callbacks: Sequence[Callback] = (), **options: Any) -> Path:
    """Train as the command does, with its options by their names."""
    settings = options.pop("settings", None)
    return train(data, TrainOptions(settings=None if settings is None else list(settings), **options), callbacks)
