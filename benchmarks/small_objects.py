"""A made data set of objects that are smaller than the smallest anchor of the preset ``small``, 32 pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from coco_data import make_folders, write_split
from PIL import Image

HEIGHT, WIDTH = 192, 256
SIDES = 7, 17
"""Least and largest side of an object in pixels; the second one is excluded."""
OBJECTS = 4, 11
"""Least and largest number of objects in an image; the second one is excluded."""
CLASSES = ("disc", "square", "cross")

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def make_small_objects(folder: Path, images: dict[str, int], seed: int = 0) -> Path:
    """Write a COCO data set of discs, squares and crosses on cloudy ground; equal seeds give equal bytes.

    ``images`` are the numbers of images of each split.
    """
    make_folders(folder)
    for number, (split, count) in enumerate(images.items()):
        generator = np.random.default_rng([seed, number])
        records, annotations = [], []
        for image in range(count):
            name = f"{split}{image}.png"
            pixels, objects = _picture(generator)
            Image.fromarray(pixels).save(folder / "images" / name)
            records.append({"id": image, "file_name": name, "height": HEIGHT, "width": WIDTH})
            annotations += [{"image_id": image, "iscrowd": 0, **each} for each in objects]
        write_split(folder, split, records, annotations, CLASSES)
    return folder


def _picture(generator: np.random.Generator) -> tuple[Pixels, list[dict[str, Any]]]:
    """One image and its annotations, without their images."""
    coarse = generator.integers(40, 216, (HEIGHT // 16, WIDTH // 16, 3), dtype=np.uint8)
    ground = Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    noise = generator.normal(0, 8, (HEIGHT, WIDTH, 3))
    pixels = np.clip(np.asarray(ground, dtype=np.float64) + noise, 0, 255).astype(np.uint8)
    free, objects = np.ones((HEIGHT, WIDTH), dtype=bool), []
    for _ in range(int(generator.integers(*OBJECTS))):
        side, kind = int(generator.integers(*SIDES)), int(generator.integers(len(CLASSES)))
        x, y = int(generator.integers(2, WIDTH - side - 2)), int(generator.integers(2, HEIGHT - side - 2))
        if not free[y - 2 : y + side + 2, x - 2 : x + side + 2].all():
            continue
        free[y : y + side, x : x + side] = False
        behind = pixels[y : y + side, x : x + side]
        # The colour differs from the ground by at least 70 of 255.
        colour = (behind.mean(axis=(0, 1)) + 128 + generator.integers(-58, 59, 3)) % 256
        behind[_shape(kind, side)] = colour.astype(np.uint8)
        objects.append({"category_id": kind + 1, "bbox": [x, y, side, side], "area": side * side})
    return pixels, objects


def _shape(kind: int, side: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which pixels of a square of this side belong to a shape that touches all of its sides."""
    offset = np.abs(np.arange(side) - (side - 1) / 2)
    if CLASSES[kind] == "disc":
        return np.asarray(offset[:, None] ** 2 + offset**2 <= (side / 2) ** 2)
    if CLASSES[kind] == "square":
        return np.ones((side, side), dtype=bool)
    return np.asarray((offset[:, None] <= side / 6) | (offset <= side / 6))
