"""Run programs with this code and with that of another checkout, each in a process of its own."""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

OURS = Path(__file__).parents[1] / "src"
SIZE = (160, 120)
"""Width and height of the made-up images, in pixels."""
COLOURS = {"red": (200, 40, 40), "blue": (40, 60, 200)}
"""Classes of the made-up images: rectangles of one colour."""


def output_of(source: Path, program: str, *arguments: object) -> str:
    """What a program prints that imports the package from ``source``; raises ``CalledProcessError`` where it fails."""
    return _run(source, "-c", program, *map(str, arguments))


def run_command(source: Path, *arguments: object) -> str:
    """What ``faster-rcnn`` prints, run from ``source``; ends the script with its last line where it fails."""
    try:
        return _run(source, "-m", "faster_rcnn", *map(str, arguments))
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [""]
        command = " ".join(map(str, arguments))
        raise SystemExit(f"{source}: faster-rcnn {command}: exit code {error.returncode}: {lines[-1]}") from error


def _run(source: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(source.resolve())}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def median_with_range(seconds: Sequence[float], digits: int = 3) -> str:
    """Such as ``1.204 s (1.198..1.310)``."""
    middle, low, high = statistics.median(seconds), min(seconds), max(seconds)
    return f"{middle:.{digits}f} s ({low:.{digits}f}..{high:.{digits}f})"


def make_data(folder: Path, images: int) -> Path:
    """Write noisy images with one to three coloured rectangles each, as COCO; one more image is for validation.

    The same call writes the same bytes.
    """
    chance = random.Random(0)
    (folder / "annotations").mkdir(parents=True)
    (folder / "images").mkdir()
    for split, count in (("train", images), ("val", 1)):
        content: dict[str, list[dict[str, object]]] = {
            "categories": [{"id": number, "name": name} for number, name in enumerate(COLOURS, start=1)],
            "images": [],
            "annotations": [],
        }
        for number in range(count):
            name = f"{split}-{number:03}.png"
            content["images"].append({"id": number, "file_name": name, "width": SIZE[0], "height": SIZE[1]})
            boxes = _draw(folder / "images" / name, chance)
            content["annotations"].extend(
                {"id": len(content["annotations"]) + place, "image_id": number, "category_id": label, "bbox": box}
                for place, (label, box) in enumerate(boxes)
            )
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def _draw(path: Path, chance: random.Random) -> list[tuple[int, tuple[int, int, int, int]]]:
    """Write one image; returns the class and (x, y, width, height) of each rectangle."""
    width, height = SIZE
    image = Image.frombytes("RGB", SIZE, chance.randbytes(3 * width * height))
    boxes = []
    for _ in range(chance.randint(1, 3)):
        label = chance.randint(1, len(COLOURS))
        x, y = chance.randrange(width - 50), chance.randrange(height - 50)
        across, down = chance.randint(12, 50), chance.randint(12, 50)
        ImageDraw.Draw(image).rectangle((x, y, x + across - 1, y + down - 1), fill=list(COLOURS.values())[label - 1])
        boxes.append((label, (x, y, across, down)))
    image.save(path)
    return boxes
