"""Time of one image of 800 x 1067 pixels with 1,000 proposals, from pixels to boxes: `base` against torchvision.

    python benchmarks/reference.py

All have the same random weights and run in turn: ours, ours compiled, torchvision's detector as it is, in float32, and
its ONNX export in ONNX Runtime and in OpenVINO, which chooses its precision itself. The body, neck
and RPN head of ours, not compiled, are held against their floor, as `faster-rcnn benchmark` does. The bars are meant
for processors with AMX. Needs a C++ compiler, and the extras onnx and openvino.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from bars import Bar, judge

from faster_rcnn.benchmark.loading import at_image_size, load_or_build
from faster_rcnn.benchmark.picture import FILE_NAME, made_up_picture, own_size
from faster_rcnn.benchmark.runtimes import openvino_runner, runners, runtimes_named
from faster_rcnn.benchmark.timing import machine_of, pixels_of, roofline_of, runner_of, time_contenders, time_detector
from faster_rcnn.benchmark.values import Contender, Spread
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.system.devices import choose_precision
from faster_rcnn.weights.foreign.torchvision_detector import plan_torchvision, torchvision_detector

OURS, COMPILED, PEERS = "ours", "ours, compiled", ("torchvision", "onnxruntime", "openvino")
"""In the order of their turns."""
COMPILED_TIMES, PLAIN_TIMES, OPENVINO_TIMES = 6.0, 4.0, 1.0
"""Required speedups: ours compiled and ours over torchvision, and ours compiled over OpenVINO."""
MAX_ABOVE_BOUND = 1.3
"""Maximum time of body, neck and RPN head in multiples of their lower bound."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements of one run."""

    contenders: dict[str, Contender]
    """Contenders by name."""
    dense: Spread
    """Seconds of body, neck and RPN head."""
    floor: float
    """Seconds."""

    def times(self, ours: str, peer: str) -> float:
        """Speed of ours in multiples of the peer's."""
        return self.contenders[peer].seconds.median / self.contenders[ours].seconds.median

    def bars(self) -> list[Bar]:
        return [
            Bar(
                "speed of ours, compiled, times that of torchvision in float32",
                self.times(COMPILED, "torchvision"),
                at_least=COMPILED_TIMES,
            ),
            Bar(
                "speed of ours, not compiled, times that of torchvision in float32",
                self.times(OURS, "torchvision"),
                at_least=PLAIN_TIMES,
            ),
            Bar(
                "speed of ours, compiled, times that of OpenVINO in its own type",
                self.times(COMPILED, "openvino"),
                at_least=OPENVINO_TIMES,
            ),
            Bar(
                "time of body, neck and RPN head, times their lower bound",
                self.dense.median / self.floor,
                at_most=MAX_ABOVE_BOUND,
            ),
        ]


def measure(preset: str, image_size: int | None, rounds: int, folder: Path) -> Measured:
    """Measure all contenders and print their times."""
    loaded = at_image_size(load_or_build(preset), image_size)
    precision, size = choose_precision("auto", torch.device("cpu")), own_size(loaded.config)
    picture = made_up_picture(folder / FILE_NAME, size)
    ours, compiled = (
        Predictor(prepare(loaded, torch.device("cpu"), precision, exact=False, compile=compile), batch=1)
        for compile in (False, True)
    )
    proposals = loaded.config.rpn.proposals_after_nms
    print(f"{preset}, {size.height} x {size.width} pixels, {proposals} proposals; {machine_of(ours)}", flush=True)
    theirs = torchvision_detector(loaded, plan_torchvision(preset, loaded.config))
    pixels = pixels_of(ours, picture)
    others = runners(["torchvision", "onnxruntime"], theirs, pixels, precision, folder)
    others = [runner_of(COMPILED, compiled), *others, openvino_runner(folder / "torchvision.onnx", None)]
    found = dict(zip((OURS, COMPILED, *PEERS), time_contenders(ours, others, [picture], rounds), strict=True))
    for name, each in found.items():
        print(f"{name} in {each.precision}: {each.seconds}, {each.detections} detections", flush=True)
    # The floor is the least time, so of two tries, before and after the work, the faster one.
    floors = [roofline_of(ours, [picture])]
    dense = Spread.of([each.dense for each in time_detector(ours, [picture], rounds).times])
    floors.append(roofline_of(ours, [picture]))
    floor = min(each.seconds for each in floors)
    tries = " and ".join(f"{1000 * each.seconds:.1f}" for each in floors)
    print(f"body, neck and RPN head of ours, not compiled: {dense}; two tries of the floor: {tries} ms", flush=True)
    return Measured(found, dense, floor)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="base", help="another one that torchvision has, too")
    parser.add_argument("--image-size", type=int, help="pixels of the shorter side; the preset's own where not given")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args(arguments)
    runtimes_named(",".join(PEERS))  # tells which package is missing before any work
    with TemporaryDirectory() as folder:
        found = measure(options.preset, options.image_size, options.rounds, Path(folder))
    for name in PEERS:
        plain, compiled = found.times(OURS, name), found.times(COMPILED, name)
        print(f"against {name}: ours is {plain:.2f} times as fast, compiled {compiled:.2f} times")
    return judge(found.bars())


if __name__ == "__main__":
    sys.exit(main())
