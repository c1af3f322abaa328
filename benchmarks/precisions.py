"""The row of ``devices.AUTO`` for this machine, measured: float32, bfloat16 and int8 in inference and in training.

    python benchmarks/precisions.py [--rounds N]
    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 python benchmarks/precisions.py

Preset ``small`` with random weights, one image of 416 x 555 pixels from pixels to boxes, and one training step of two
such images, all in turn. The two variables give the row of narrower instructions than this machine has; other values of
the first one are AVX512_CORE and AVX512_CORE_VNNI.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial

import torch
from bars import Bar, judge
from timing import machine, seconds

from faster_rcnn.acceleration.folding import prepare_for_inference
from faster_rcnn.acceleration.quantization import calibrate
from faster_rcnn.building import build_model
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.kernels.int8_layers import weight_limit
from faster_rcnn.settings.presets import preset
from faster_rcnn.structures import ClassMap, GroundTruth, TrainingBatch
from faster_rcnn.system.devices import AUTO, Auto, onednn_supports_bfloat16, precision_name, widest_instructions
from faster_rcnn.training.optimizer import build_optimizer
from faster_rcnn.training.step import training_step
from faster_rcnn.weights.model_file import LoadedModel

CPU = torch.device("cpu")
SIDES = (416, 555)
CLASSES = ClassMap(("a", "b", "c"), (1, 2, 3))
MAX_RATIO = 1.1
"""Maximum time in the precision of ``auto``, in multiples of the shortest time; the table may choose either of two that
are nearly equal."""

Work = dict[torch.dtype, Callable[[], object]]


def floats_here() -> list[torch.dtype]:
    """The types of floats to measure; where oneDNN lacks bfloat16, it takes a hundred times as long and is left out."""
    return [torch.float32, torch.bfloat16] if onednn_supports_bfloat16() else [torch.float32]


def detections() -> Work:
    """Work of the same detector on one image, in each precision that this machine has."""
    torch.manual_seed(0)
    config = preset("small")
    model = build_model(config, len(CLASSES)).eval()
    image = torch.randint(0, 256, (3, *SIDES), dtype=torch.uint8)
    ranges = calibrate(prepare_for_inference(deepcopy(model), torch.float32, exact=False), [image])
    kinds = [*floats_here(), *([torch.int8] if weight_limit() else [])]
    made = {
        kind: Predictor(prepare(LoadedModel(deepcopy(model), config, CLASSES, ranges), CPU, kind, exact=False))
        for kind in kinds
    }
    pixels = image.permute(1, 2, 0).numpy()
    return {kind: partial(each.predict_one, pixels, 0.05) for kind, each in made.items()}


def steps() -> Work:
    """Work of one training step in each type of floats, each with a detector of its own."""
    torch.manual_seed(0)
    images = [torch.randint(0, 256, (3, *SIDES), dtype=torch.uint8) for _ in range(2)]
    truth = GroundTruth(torch.tensor([[50.0, 50, 200, 150]]), torch.tensor([0]), torch.tensor([False]))

    def step(kind: torch.dtype) -> Callable[[], object]:
        model = build_model(preset("small"), len(CLASSES)).train()
        model = model.to(memory_format=torch.channels_last)
        optimizer = build_optimizer(model, lr=1e-4, momentum=0.9, weight_decay=0.0)
        return partial(
            training_step,
            model,
            optimizer,
            TrainingBatch(tuple(images), (truth,) * 2, (0, 1)),
            lr=1e-4,
            clip_norm=10.0,
            precision=kind,
        )

    return {kind: step(kind) for kind in floats_here()}


def measured(what: str, work: Work, rounds: int) -> dict[torch.dtype, float]:
    """Time all in turn, print minimum, median and maximum, and return the minimum in seconds; a first round warms up.

    Other work on the machine changes the minimum least.
    """
    times: dict[torch.dtype, list[float]] = {kind: [] for kind in work}
    for number in range(rounds + 1):
        for kind, each in work.items():
            one = seconds(each)
            if number:
                times[kind].append(one)
    for kind, taken in times.items():
        low, middle, high = (1000 * value for value in (min(taken), statistics.median(taken), max(taken)))
        print(f"{what} in {precision_name(kind)}: {low:.1f} ms (median {middle:.1f}, at most {high:.1f})", flush=True)
    return {kind: min(taken) for kind, taken in times.items()}


def row_of(found: dict[torch.dtype, float], trained: dict[torch.dtype, float]) -> Auto:
    """The measured row of the table: bfloat16 where it is faster in both, int8 where it is faster than these floats."""
    never = float("inf")
    both = all(each.get(torch.bfloat16, never) < each[torch.float32] for each in (found, trained))
    floats = torch.bfloat16 if both else torch.float32
    return Auto(floats, int8=found.get(torch.int8, never) < found[floats])


def bars_of(committed: Auto, found: dict[torch.dtype, float], trained: dict[torch.dtype, float]) -> list[Bar]:
    """Compare the committed row with the fastest precision in training, in inference and for a quantized detector."""
    floats = {kind: found[kind] for kind in trained}
    quantized = torch.int8 if committed.int8 and torch.int8 in found else committed.floats
    return [
        Bar(
            f"time of {what} in the precision of auto, times the shortest",
            each[kind] / min(each.values()),
            at_most=MAX_RATIO,
        )
        for what, each, kind in (
            ("a training step", trained, committed.floats),
            ("an image", floats, committed.floats),
            ("an image by a quantized detector", found, quantized),
        )
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(arguments)
    print(machine(), flush=True)
    found = measured("an image", detections(), options.rounds)
    trained = measured("a training step", steps(), options.rounds)
    name = widest_instructions()
    for kind, row in (("measured", row_of(found, trained)), ("committed", AUTO[name])):
        print(f"{kind}: {name}: {precision_name(row.floats)}, quantized detectors in int8: {row.int8}", flush=True)
    return judge(bars_of(AUTO[name], found, trained))


if __name__ == "__main__":
    sys.exit(main())
