"""Speed without AVX-512 and AMX: ours against torchvision, with the same weights and the same boxes.

    python benchmarks/elsewhere.py [--base-size 800]

The script starts itself again with these instructions masked off in torch's own kernels, in oneDNN and in MKL. There
both detect in turn, from pixels to boxes, in float32, which is the fastest precision of such a processor. Random
weights detect nothing, so the four last layers are scaled until scores and boxes vary as those of a trained detector.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from bars import Bar, judge
from torch import Tensor, nn
from translation import fit_norms

from faster_rcnn.benchmark.loading import at_image_size, load_or_build
from faster_rcnn.benchmark.picture import FILE_NAME, made_up_picture, own_size
from faster_rcnn.benchmark.runtimes import runners
from faster_rcnn.benchmark.stages import batch_of
from faster_rcnn.benchmark.timing import machine_of, runner_of, time_contenders
from faster_rcnn.data.decode import read_image
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.model import FasterRCNN
from faster_rcnn.weights.foreign.torchvision_detector import plan_torchvision, torchvision_detector

MASK = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
"""Environment that masks wider instructions; torch reads it when it is imported, so it needs a new process."""
PRESETS = ("base", "mobile-320")
MIN_SPEEDUP = 1.0
"""Required speed of ours, in multiples of torchvision's."""
TOLERANCE = 1.0
"""Maximum difference in pixels between the coordinates of two boxes that count as the same."""
MIN_SHARED = 0.95
"""Required share of boxes that both find; it is below 1, because NMS may keep another one of nearly equal boxes."""
SPREADS = (("rpn.head.objectness", 2.0), ("rpn.head.deltas", 0.3), ("roi.classes", 2.0), ("roi.deltas", 1.0))
"""Last layers and the standard deviation of each of their outputs over positions or regions after scaling."""


def make_lively(model: FasterRCNN, pixels: Tensor) -> None:
    """Fit batch norm to an image and scale the last layers, so that scores and boxes of random weights vary."""
    fit_norms(model, batch_of(model, pixels).pixels)
    for name, spread in SPREADS:
        scale_outputs(model, model.get_submodule(name), pixels, spread)


@torch.no_grad()
def scale_outputs(model: FasterRCNN, layer: nn.Module, pixels: Tensor, spread: float) -> None:
    """Scale a layer so that each of its outputs has the mean 0 and the standard deviation ``spread``."""
    recorded: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _layer, _inputs, output: recorded.append(by_output(output)))
    model.detect([pixels])
    handle.remove()
    outputs = torch.cat(recorded)
    scale = spread / outputs.std(dim=0)
    weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
    weight.mul_(scale.reshape(-1, *[1] * (weight.ndim - 1)))
    bias.sub_(outputs.mean(dim=0)).mul_(scale)


def by_output(output: Tensor) -> Tensor:
    """Reshape an output to one row for each position or region."""
    return output.transpose(0, 1).flatten(1).T if output.ndim == 4 else output


def shared(ours: Tensor, theirs: Tensor) -> float:
    """Share of the boxes (N, 4) of each side that the other side has, too; the smaller of both shares."""
    if not len(ours) or not len(theirs):
        return 0.0
    same = (ours[:, None] - theirs[None]).abs().amax(dim=2) <= TOLERANCE
    return min(float(same.any(dim=side).float().mean()) for side in (0, 1))


def compare(preset: str, image_size: int | None, rounds: int, folder: Path) -> list[Bar]:
    """Time both detectors, print the times, and compare their boxes."""
    loaded = at_image_size(load_or_build(preset), image_size)
    size, device = own_size(loaded.config), torch.device("cpu")
    picture = made_up_picture(folder / FILE_NAME, size)
    pixels, _ = read_image(picture, loaded.config.data.max_pixels)
    make_lively(loaded.model, pixels)
    ours = Predictor(prepare(loaded, device, torch.float32, exact=False), batch=1)
    plan = plan_torchvision(preset, loaded.config)
    [theirs] = runners(["torchvision"], torchvision_detector(loaded, plan), pixels, ours.detector.precision, folder)
    pair = time_contenders(ours, [theirs], [picture], rounds)
    print(f"{preset}, {size.height} x {size.width} pixels; {machine_of(ours)}")
    print(f"{preset}: {pair[1].beside(pair[0])}", flush=True)
    share = shared(runner_of("ours", ours).detect(pixels), theirs.detect(pixels))
    times = pair[1].seconds.median / pair[0].seconds.median
    return [
        Bar(f"speed of {preset}, times that of torchvision", times, at_least=MIN_SPEEDUP),
        Bar(f"share of boxes of {preset} that both find, to {TOLERANCE:g} pixel", share, at_least=MIN_SHARED),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=PRESETS, choices=PRESETS)
    parser.add_argument("--base-size", type=int, help="pixels of the shorter side for base; 800 where not given")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args(arguments)
    if any(os.environ.get(name) != value for name, value in MASK.items()):
        again = [sys.executable, __file__, *(sys.argv[1:] if arguments is None else arguments)]
        return subprocess.run(again, env={**os.environ, **MASK}).returncode
    sizes = {"base": options.base_size}
    with TemporaryDirectory() as folder:
        bars = [
            bar
            for preset in options.presets
            for bar in compare(preset, sizes.get(preset), options.rounds, Path(folder))
        ]
    return judge(bars)


if __name__ == "__main__":
    sys.exit(main())
