"""Whether this code computes the same bits as another checkout: weights after training, and detections.

    python benchmarks/unchanged.py --against OTHER/src [--presets small,base,paper,c4] [--steps 20]

For each preset both codes run `faster-rcnn train` in float32 with one seed, from random weights, on the same made-up
images of 160 x 120 pixels, and the tensors of their last models are compared byte by byte. The first preset is trained
for `--steps` steps, the others for two. Both codes then load the file that the other checkout wrote and predict its
images in float32; boxes, scores and labels are compared byte by byte. Every difference misses a bar. Each run is a
process of its own, and both use the same number of threads, on which the last bits depend.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from bars import Bar, judge
from checkouts import OURS, make_data, output_of, run_command
from safetensors.torch import load_file
from torch import Tensor

BATCH = 2
STEPS_OF_OTHERS = 2
DETECT = """
import json, sys
from pathlib import Path
from faster_rcnn import Detector
detector = Detector.load(sys.argv[1], device="cpu", precision="float32")
for path in sorted(Path(sys.argv[2]).iterdir()):
    found = detector.predict(path, conf=0)
    print(json.dumps([each.numpy().tobytes().hex() for each in (found.boxes, found.scores, found.labels)]))
"""
"""Prints a line for each image: the bytes of boxes, scores and labels."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, required=True, help="the src folder of another checkout")
    parser.add_argument("--presets", default="small,base,paper,c4")
    parser.add_argument("--steps", type=int, default=20, help="training steps of the first preset, an even number")
    parser.add_argument("--images", type=int, default=4, help="images to train on and to predict, an even number")
    parser.add_argument("--image-size", type=int, default=128, help="pixels of the shorter side")
    options = parser.parse_args(arguments)
    bars: list[Bar] = []
    with tempfile.TemporaryDirectory() as folder:
        data = make_data(Path(folder) / "data", options.images)
        for number, name in enumerate(options.presets.split(",")):
            steps = STEPS_OF_OTHERS if number else options.steps
            bars += compared(name, steps, data, Path(folder) / name, options)
    return judge(bars)


def compared(preset: str, steps: int, data: Path, folder: Path, options: argparse.Namespace) -> list[Bar]:
    """Train and predict with both codes; one bar for the weights and one for the detections."""
    before, after = (
        trained(source, preset, steps, data, folder / who, options)
        for who, source in (("before", options.against), ("after", OURS))
    )
    first, second = load_file(before), load_file(after)
    changed = differing(first, second)
    images = data / "images"
    lines = [output_of(source, DETECT, before, images).splitlines() for source in (options.against, OURS)]
    other_images = sum(one != other for one, other in zip(*lines, strict=True))
    boxes = sum(len(json.loads(line)[1]) // 8 for line in lines[0])  # float32 scores, two digits a byte
    names = f"; differing: {', '.join(changed[:5])}" if changed else ""
    print(f"{preset}: {len(first)} tensors after {steps} steps; {boxes} detections{names}", flush=True)
    for file in (before, after):
        file.unlink()  # VGG16 takes half a gigabyte
    return [
        Bar(f"{preset}: tensors that differ after {steps} training steps", len(changed), at_most=0),
        Bar(f"{preset}: images with other detections", other_images, at_most=0),
        Bar(f"{preset}: detections that were compared", boxes, at_least=1),
    ]


def trained(source: Path, preset: str, steps: int, data: Path, out: Path, options: argparse.Namespace) -> Path:
    """Train with the code in ``source``; returns the file of the last model."""
    epochs = steps * BATCH // options.images
    if epochs * options.images != steps * BATCH:
        raise SystemExit(f"{steps} steps of {BATCH} images are no whole passes over {options.images} images")
    settings = ["backbone.weights=none", "training.lr=0.002"]
    sizes = ["--image-size", options.image_size, "--batch", BATCH, "--epochs", epochs, "--seed", 0, "--workers", 0]
    place = ["--device", "cpu", "--precision", "float32", "--threads", torch.get_num_threads()]
    run_command(source, "train", data, "--model", preset, *sizes, *place, "--out", out, "--set", *settings)
    return out / "last.safetensors"


def differing(first: dict[str, Tensor], second: dict[str, Tensor]) -> list[str]:
    """Names of tensors that only one of both has, or whose type, shape or bytes differ."""
    return sorted(
        name
        for name in first.keys() | second.keys()
        if name not in first or name not in second or not same_bytes(first[name], second[name])
    )


def same_bytes(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same type, shape and bytes, so that -0 differs from 0 and NaN equals itself."""
    return (
        one.dtype == other.dtype
        and one.shape == other.shape
        and torch.equal(one.flatten().view(torch.uint8), other.flatten().view(torch.uint8))
    )


if __name__ == "__main__":
    sys.exit(main())
