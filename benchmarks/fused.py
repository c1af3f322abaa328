"""Time of a detector with fused convolutions on a CPU, from pixels to boxes, against one with a call for every step.

    python benchmarks/fused.py [--model RUN] [--precision bfloat16] [--sizes 416 320]

Both compute with batch norms folded, in one precision and in channels-last memory format; the peer computes activations
and sums separately. A preset has random weights, whose scores are meaningless: its second stage takes the time of as
many proposals as the configuration allows.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from timing import compare, machine

from faster_rcnn.acceleration.folding import prepare_for_inference
from faster_rcnn.benchmark.loading import at_image_size, load_or_build
from faster_rcnn.benchmark.picture import FILE_NAME, made_up_picture, own_size
from faster_rcnn.benchmark.timing import runner_of
from faster_rcnn.data.decode import read_image
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.kernels.onednn_layers import FusedConv2d
from faster_rcnn.system.devices import PRECISIONS


def compare_fused(model: str, precision: torch.dtype, size: int, rounds: int, folder: Path) -> float:
    """Time both at one size of the short side, in turn, print the times, and return the median of the ratios."""
    loaded = at_image_size(load_or_build(model), size)
    fused = prepare(loaded, torch.device("cpu"), precision, exact=False)
    single_steps = replace(fused, network=prepare_for_inference(fused.model, precision, exact=False))
    layers = sum(isinstance(each, FusedConv2d) for each in fused.network.modules())
    picture = made_up_picture(folder / FILE_NAME, own_size(loaded.config))
    pixels, _ = read_image(picture, loaded.config.data.max_pixels)
    ours = runner_of("fused", Predictor(fused, batch=1))
    peer = runner_of("single steps", Predictor(single_steps, batch=1))
    return compare(
        f"{model} at {size} pixels, {layers} fused convolutions (the peer: none)",
        lambda: ours.detect(pixels),
        lambda: peer.detect(pixels),
        rounds,
        warm_up=3,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="small", help="preset, run folder or model file")
    parser.add_argument("--precision", default="bfloat16", choices=("float32", "bfloat16"))
    parser.add_argument("--sizes", type=int, nargs="+", default=(416, 320), help="pixels of the short side")
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args(arguments)
    print(f"{machine()}; both in {options.precision}", flush=True)
    with TemporaryDirectory() as folder:
        for size in options.sizes:
            compare_fused(options.model, PRECISIONS[options.precision], size, options.rounds, Path(folder))


if __name__ == "__main__":
    main()
