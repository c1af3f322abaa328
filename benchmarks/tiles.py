"""Time and peak memory of prediction in tiles, against the side of the image: `tiles.py --model MODEL`.

Each image is a JPEG of noise in blocks, predicted in a process of its own. The memory beyond the pixels should be the
same in every line. The pixels of an image with sides of 20,000 take 1.2 GB.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

BLOCK = 16
"""Side of a block in pixels, which keeps files small and fast to make."""


def make_image(path: Path, side: int) -> None:
    blocks = np.random.default_rng(0).integers(0, 256, (-(-side // BLOCK), -(-side // BLOCK), 3), dtype=np.uint8)
    image = Image.fromarray(blocks).resize((blocks.shape[1] * BLOCK, blocks.shape[0] * BLOCK), Image.Resampling.NEAREST)
    image.crop((0, 0, side, side)).save(path, quality=90)


def measure(model: str, image: str, tile: int, overlap: float) -> None:
    """Print seconds, peak memory in bytes and number of detections on one line; runs in a process of its own."""
    from faster_rcnn import Detector

    detector = Detector.load(model, device="cpu")
    detector.predict(np.zeros((tile, tile, 3), dtype=np.uint8))  # warm-up
    start = time.perf_counter()
    result = detector.predict(image, tile=tile, overlap=overlap)
    print(time.perf_counter() - start, peak_bytes(), len(result))


def peak_bytes() -> int:
    """Peak memory of this process in bytes; `getrusage` would include the process that started it."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    [peak] = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(peak) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="model file, run folder or published name")
    parser.add_argument("--sides", type=int, nargs="+", default=[2000, 4000, 8000], help="of the images; 20000 works")
    parser.add_argument("--tile", type=int, default=800)
    parser.add_argument("--overlap", type=float, default=0.2)
    parser.add_argument("--image", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.image is not None:
        measure(options.model, options.image, options.tile, options.overlap)
        return
    print("side, tiles, seconds, peak MB, MB beside the pixels, detections")
    for side in options.sides:
        print_line(options, side)


def print_line(options: argparse.Namespace, side: int) -> None:
    from faster_rcnn.inference.tiles import Tiling

    tiles = len(Tiling(options.tile, options.overlap).starts(side)) ** 2
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.jpg"
        make_image(path, side)
        command = [
            sys.executable,
            __file__,
            "--model",
            options.model,
            "--image",
            str(path),
            "--tile",
            str(options.tile),
        ]
        command += ["--overlap", str(options.overlap)]
        found = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, peak, detections = found.stdout.split()
    memory = int(peak) / 1e6
    print(
        f"{side}, {tiles}, {float(seconds):.1f}, {memory:.0f}, {memory - 3 * side * side / 1e6:.0f}, {detections}",
        flush=True,
    )


if __name__ == "__main__":
    main()
