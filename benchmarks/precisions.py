"""The row of ``devices.AUTO`` for this machine: float32, bfloat16 and int8 in turn, in inference and in training.

    python benchmarks/precisions.py [--rounds N]
    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 python benchmarks/precisions.py

Preset ``small`` with random weights, one image of 416 x 555 pixels from pixels to boxes, and one training step of two
such images. The two variables make a row of narrower instructions than this machine has; other values of the first
one are AVX512_CORE and AVX512_CORE_VNNI.
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
from faster_rcnn.training.schedule import build_optimizer
from faster_rcnn.training.step import training_step
from faster_rcnn.weights.model_file import LoadedModel

CPU = torch.device("cpu")
SIDES = (416, 555)
CLASSES = ClassMap(("a", "b", "c"), (1, 2, 3))
SLOWER = 1.1
"""Times the least time that what ``auto`` takes may need: two that are as good as equal are no fault of the table."""

Work = dict[torch.dtype, Callable[[], object]]


def floats_here() -> list[torch.dtype]:
    """Without bfloat16 where oneDNN does not compute in it, which then takes a hundred times as long."""
    return [torch.float32, torch.bfloat16] if onednn_supports_bfloat16() else [torch.float32]


def detections() -> Work:
    """One image in each precision that this machine has, by the same detector."""
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
    """One training step in each type of floats, each by a detector of its own."""
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
    """The least seconds of each, all in turn, printed with their median and most; a first round warms up.

    The least is what other work on the machine changes least.
    """
    times: dict[torch.dtype, list[float]] = {kind: [] for kind in work}
    for number in range(rounds + 1):
        for kind, each in work.items():
            one = seconds(each)
            if number:
                times[kind].append(one)
    for kind, taken in times.items():
        least, middle, most = (1000 * value for value in (min(taken), statistics.median(taken), max(taken)))
        print(f"{what} in {precision_name(kind)}: {least:.1f} ms (median {middle:.1f}, at most {most:.1f})", flush=True)
    return {kind: min(taken) for kind, taken in times.items()}


def row_of(found: dict[torch.dtype, float], trained: dict[torch.dtype, float]) -> Auto:
    """What the table should be here: bfloat16 where it is faster in both, int8 where it is faster than these floats."""
    never = float("inf")
    both = all(each.get(torch.bfloat16, never) < each[torch.float32] for each in (found, trained))
    floats = torch.bfloat16 if both else torch.float32
    return Auto(floats, int8=found.get(torch.int8, never) < found[floats])


def bars_of(committed: Auto, found: dict[torch.dtype, float], trained: dict[torch.dtype, float]) -> list[Bar]:
    """What the committed row takes against the fastest: in training, in inference, and of a quantized detector."""
    floats = {kind: found[kind] for kind in trained}
    quantized = torch.int8 if committed.int8 and torch.int8 in found else committed.floats
    return [
        Bar(f"time of {what} in what auto takes, times the least", each[kind] / min(each.values()), at_most=SLOWER)
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
