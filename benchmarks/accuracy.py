"""Loss of AP by faster precisions: the same detectors in float32 and in each of `PRECISIONS`, on labelled images.

    python benchmarks/accuracy.py --model RUN [--model RUN ...] --data DIR [--split test]

AP does not depend on speed, so every precision that the machine can compute in is measured, fast or not. A precision
that this package or machine lacks is reported and left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

from bars import Bar, judge
from timing import machine

from faster_rcnn import Detector
from faster_rcnn.choices import Precision
from faster_rcnn.errors import MachineError, ModelFileError, OptionError

PRECISIONS = {"bfloat16": 0.2, "int8": 0.5}
"""Maximum loss of AP by precision, in points of 0.01."""


def ap_in(model: str, precision: str, data: Path, split: str | None) -> float:
    """Measure, and print AP and AP50; raises ``OptionError`` or ``MachineError`` where the machine cannot do it."""
    metrics = Detector.load(model, device="cpu", precision=cast(Precision, precision)).evaluate(data, split)
    if metrics.ap is None or metrics.ap50 is None:
        raise SystemExit(f"{data} has no labelled boxes, so there is no AP")
    print(f"{model} in {precision}: AP {metrics.ap:.4f}, AP50 {metrics.ap50:.4f}, {metrics.images} images", flush=True)
    return metrics.ap


def losses(model: str, data: Path, split: str | None) -> list[Bar]:
    """Measure the loss of each available precision; one bar for each."""
    exact = ap_in(model, "float32", data, split)
    bars = []
    for precision, max_loss in PRECISIONS.items():
        if precision not in get_args(Precision):
            print(f"{model} in {precision} is left out: this version of faster-rcnn does not have it", flush=True)
            continue
        try:
            lost = 100 * (exact - ap_in(model, precision, data, split))
        except (OptionError, MachineError, ModelFileError) as error:
            print(f"{model} in {precision} is left out: {error}", flush=True)
            continue
        print(f"{model} in {precision}: {lost:+.3f} points of AP lost", flush=True)
        bars.append(Bar(f"points of AP that {model} loses in {precision}", lost, at_most=max_loss))
    return bars


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", action="append", required=True, help="run folder, model file or published name; may be given again"
    )
    parser.add_argument("--data", type=Path, required=True, help="labelled images")
    parser.add_argument("--split", help="part of them; test where there is one, else val")
    options = parser.parse_args(arguments)
    print(machine(), flush=True)
    return judge([bar for model in options.model for bar in losses(model, options.data, options.split)])


if __name__ == "__main__":
    sys.exit(main())
