"""Files to test commands with: a small model file, images, a labelled folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from faster_rcnn.acceleration.folding import prepare_for_inference
from faster_rcnn.acceleration.quantization import calibrate
from faster_rcnn.structures import ClassMap, ImageSize
from faster_rcnn.weights.model_file import LoadedModel, save_model
from tiny import decided_model, random_image, tiny_config

CLASSES = ClassMap(("cat", "dog", "cow"), (1, 5, 7))
SIZE = ImageSize(40, 60)


def loaded_model(classes: ClassMap = CLASSES, **sections: dict[str, Any]) -> LoadedModel:
    """A detector of random weights that finds something in every image."""
    model = decided_model(len(classes), **sections)
    return LoadedModel(model, tiny_config(**sections), classes)


def with_limit(loaded: LoadedModel, pixels: int) -> LoadedModel:
    """The same detector, which refuses images of more pixels."""
    data = loaded.config.data.model_copy(update={"max_pixels": pixels})
    return replace(loaded, config=loaded.config.model_copy(update={"data": data}))


def quantized(loaded: LoadedModel) -> LoadedModel:
    """The same detector, with the ranges of its features in some noise."""
    network = prepare_for_inference(loaded.model, torch.float32, exact=False)
    return replace(loaded, ranges=calibrate(network, [random_image(40, 60, seed) for seed in range(3)]))


def model_file(path: Path, classes: ClassMap = CLASSES, **sections: dict[str, Any]) -> Path:
    """The same, written down."""
    loaded = loaded_model(classes, **sections)
    save_model(path, loaded.model, loaded.config, classes)
    return path


def rgb(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Noise as an RGB array (height, width, 3)."""
    array: np.ndarray[Any, np.dtype[np.uint8]] = random_image(height, width, seed).permute(1, 2, 0).contiguous().numpy()
    return array


def image_file(path: Path, height: int = 40, width: int = 60, seed: int = 0) -> Path:
    """Noise in the format of the name's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb(height, width, seed)).save(path)
    return path


def coco_folder(
    root: Path,
    boxes: Sequence[Sequence[Sequence[float]]],
    classes: ClassMap = CLASSES,
    split: str = "test",
    size: ImageSize = SIZE,
) -> Path:
    """A COCO folder of images of one size, one for each list of rows ``(label, x, y, width, height)``."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, rows in enumerate(boxes, 1):
        image_file(root / "images" / f"{number}.png", *size, seed=number)
        images.append({"id": 10 * number, "file_name": f"{number}.png", "height": size.height, "width": size.width})
        for label, x, y, width, height in rows:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 10 * number,
                    "category_id": classes.ids[int(label)],
                    "bbox": [x, y, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                }
            )
    categories = [{"id": number, "name": name} for name, number in zip(classes.names, classes.ids, strict=True)]
    file = root / "annotations" / f"{split}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return root


def bytes_below(folder: Path) -> dict[str, bytes]:
    """The content of every file below a folder, by its path from there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
