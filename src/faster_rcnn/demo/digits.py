"""The demo's data: real handwritten digits scattered over two photographs, made on the spot.

The pictures are artificial, and labelled as such; but training, validation and test share no digit sample and no region
of a photograph. The result is an ordinary COCO data set.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image

from faster_rcnn.demo.pen import draw, readable_ink, strokes
from faster_rcnn.errors import MissingExtraError
from faster_rcnn.structures import ImageSize

Box = tuple[int, int, int, int]
"""(x1, y1, x2, y2) in integer pixels."""

CREDITS = """\
Made-up pictures: real handwritten digits laid over two photographs by 'faster-rcnn demo'.
Digits: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998,
  https://doi.org/10.24432/C50P49, CC BY 4.0; the test part, as scikit-learn's load_digits has it. Enlarged, turned,
  coloured.
Photographs: china.jpg and flower.jpg of scikit-learn's load_sample_images, CC BY 2.0
  (https://creativecommons.org/licenses/by/2.0/). Cut, mirrored, resized, drawn over.
  china.jpg: danielbuechele, https://www.flickr.com/photos/danielbuechele/6061409035/
  flower.jpg: https://www.flickr.com/photos/vultilion/6056698931/ (scikit-learn names danielbuechele here too)
"""

REGIONS: dict[str, tuple[Box, ...]] = {
    "train": ((0, 0, 352, 427), (0, 0, 352, 427)),
    "val": ((368, 0, 640, 205), (368, 222, 640, 427)),
    "test": ((368, 222, 640, 427), (368, 0, 640, 205)),
}
"""Regions of china.jpg and flower.jpg that each split may use; those of two splits are at least 16 pixels apart."""
SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
"""Share of the digit samples in each split."""
SIZE = ImageSize(height=240, width=320)
"""Size of every picture: small, so that a CPU trains on it within minutes."""
_MAX_DIGITS = 8
_MIN_DIGITS = 3
_BLANK_EVERY = 20
"""Every twentieth picture has no digit at all."""
_MIN_HEIGHT, _MAX_HEIGHT = 26.0, 150.0
"""Height of an upright digit in pixels; turned by 25 degrees, the largest still fits into a picture."""
_GAP = 3
"""Least distance in pixels between a digit's box and anything else."""


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """Digit surfaces and photographs that the pictures are made of."""

    surfaces: Float[np.ndarray, "samples side side"]
    digits: Int[np.ndarray, " samples"]
    """Digit of each sample, 0..9."""
    photographs: tuple[tuple[str, Image.Image], ...]
    """Name and pixels of each photograph."""


@dataclass(frozen=True, slots=True)
class Placed:
    """One digit in a picture."""

    sample: int
    """Index of the digit sample in ``load_digits``."""
    box: Box
    """Box in the picture, tight around the ink."""


def make_digits(out: Path, seed: int = 0, train: int = 300, val: int = 60, test: int = 60) -> Path:
    """Write ``annotations/{train,val,test}.json``, ``images/`` and ``CREDITS.txt``; equal seeds give equal bytes.

    Args:
        out: folder to write to; made if it does not exist.
        seed: seed of all random choices.
        train: number of training pictures.
        val: number of validation pictures.
        test: number of test pictures.

    Returns:
        ``out``, a COCO data set.

    Raises:
        MissingExtraError: scikit-learn, which contains the digits and the photographs, is not installed.
    """
    sources = load_sources()
    (out / "annotations").mkdir(parents=True, exist_ok=True)
    (out / "images").mkdir(exist_ok=True)
    (out / "CREDITS.txt").write_text(CREDITS, encoding="utf-8")
    samples = split_samples(len(sources.digits), seed)
    for number, (split, count) in enumerate({"train": train, "val": val, "test": test}.items()):
        generator = np.random.default_rng([seed, number])
        deck = itertools.cycle(generator.permutation(samples[split]).tolist())
        content = _write_split(out / "images", split, count, deck, sources, generator)
        (out / "annotations" / f"{split}.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    return out


def load_sources() -> Sources:
    """Load the digits and photographs of scikit-learn; raises ``MissingExtraError`` where it is not installed."""
    try:
        from sklearn.datasets import load_digits, load_sample_images
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "demo") from error
    known, pictures = load_digits(), load_sample_images()
    named = zip(pictures.filenames, pictures.images, strict=True)
    return Sources(
        surfaces=strokes(known.images / 16),
        digits=known.target,
        photographs=tuple((Path(name).name, Image.fromarray(pixels)) for name, pixels in named),
    )


def split_samples(count: int, seed: int) -> dict[str, Int[np.ndarray, " samples"]]:
    """Indices of the digit samples of each split; every sample is in exactly one split."""
    shuffled = np.random.default_rng(seed).permutation(count)
    ends = np.round(np.cumsum(list(SHARES.values())) * count).astype(int)
    return dict(zip(SHARES, np.split(shuffled, ends[:-1]), strict=True))


def _write_split(
    folder: Path, split: str, count: int, deck: Iterator[int], sources: Sources, generator: np.random.Generator
) -> dict[str, Any]:
    """Draw and save the pictures of one split, and return its COCO annotations."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id in range(1, count + 1):
        photograph, view, pixels = _background(split, sources, generator)
        blank = image_id % _BLANK_EVERY == 0
        wanted = 0 if blank else int(generator.integers(_MIN_DIGITS, _MAX_DIGITS + 1))
        placed = _scatter(pixels, list(itertools.islice(deck, wanted)), sources, generator)
        name = f"{split}_{image_id:04d}.jpg"
        # Chroma subsampling would bleed thin coloured strokes into their surroundings.
        Image.fromarray(pixels).save(folder / name, quality=95, subsampling=0)
        images.append(
            {
                "id": image_id,
                "file_name": name,
                "height": SIZE.height,
                "width": SIZE.width,
                "photograph": photograph,
                "photograph_view": view,
            }
        )
        for digit in placed:
            annotations.append(_annotation(len(annotations) + 1, image_id, digit, sources))
    return {
        "info": {"description": "Handwritten digits over photographs", "version": "1", "credits": CREDITS},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": digit, "name": str(digit)} for digit in range(10)],
    }


def _annotation(number: int, image_id: int, placed: Placed, sources: Sources) -> dict[str, Any]:
    x1, y1, x2, y2 = placed.box
    return {
        "id": number,
        "image_id": image_id,
        "category_id": int(sources.digits[placed.sample]),
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": (x2 - x1) * (y2 - y1),
        "iscrowd": 0,
        "digit_sample": placed.sample,
    }


def _background(
    split: str, sources: Sources, generator: np.random.Generator
) -> tuple[str, Box, UInt8[np.ndarray, "height width 3"]]:
    """Name of a photograph, a rectangle within it, and that rectangle as a picture."""
    which = int(generator.integers(len(sources.photographs)))
    name, photograph = sources.photographs[which]
    left, top, right, bottom = REGIONS[split][which]
    widest = min(right - left, int((bottom - top) * SIZE.width / SIZE.height))
    width = int(generator.integers(min(180, widest), widest + 1))
    height = width * SIZE.height // SIZE.width
    x = int(generator.integers(left, right - width + 1))
    y = int(generator.integers(top, bottom - height + 1))
    view = (x, y, x + width, y + height)
    # Cut before resizing: the filter of a resize with a box may read beyond the box, in another split's region.
    picture = photograph.crop(view).resize((SIZE.width, SIZE.height), Image.Resampling.LANCZOS)
    if generator.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return name, view, np.array(picture)


def _scatter(
    pixels: UInt8[np.ndarray, "height width 3"],
    samples: list[int],
    sources: Sources,
    generator: np.random.Generator,
) -> list[Placed]:
    """Draw samples into ``pixels`` without overlap and with enough contrast, the largest first."""
    heights = np.exp(generator.uniform(np.log(_MIN_HEIGHT), np.log(_MAX_HEIGHT), len(samples)))
    free = np.ones(pixels.shape[:2], dtype=bool)
    placed = []
    for sample, height in zip(samples, sorted(heights, reverse=True), strict=True):
        box = _place(pixels, free, sources.surfaces[sample], float(height), generator)
        if box is not None:
            placed.append(Placed(sample, box))
    return placed


def _place(
    pixels: UInt8[np.ndarray, "height width 3"],
    free: Bool[np.ndarray, "height width"],
    surface: Float[np.ndarray, "side side"],
    height: float,
    generator: np.random.Generator,
) -> Box | None:
    """Draw one digit, smaller and smaller until there is room; returns its box, or ``None`` without room."""
    degrees = generator.uniform(-25, 25)
    while height >= _MIN_HEIGHT:
        ink = draw(surface, height, degrees)
        for _ in range(12):
            x1 = int(generator.integers(_GAP, SIZE.width - ink.shape[1] - _GAP))
            y1 = int(generator.integers(_GAP, SIZE.height - ink.shape[0] - _GAP))
            x2, y2 = x1 + ink.shape[1], y1 + ink.shape[0]
            if not free[y1 - _GAP : y2 + _GAP, x1 - _GAP : x2 + _GAP].all():
                continue
            behind = pixels[y1:y2, x1:x2]
            colour = readable_ink(behind, generator)
            if colour is not None:
                share = ink[..., None]
                behind[:] = np.rint(behind * (1 - share) + colour * 255 * share)
                free[y1:y2, x1:x2] = False
                return x1, y1, x2, y2
        height *= 0.8
    return None
