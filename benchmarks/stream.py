"""Time of a stream of image files on a CPU: two images concurrently on half of the threads each, against sequentially.

    python benchmarks/stream.py --model RUN --images DIR

The sequential way, which `--precision float32` uses, decodes the next image while the detector runs on the current one.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from pathlib import Path

import torch
from pictures import parser_for, paths_of
from timing import compare, machine

from faster_rcnn.acceleration.selection import precision_for
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.system.devices import precision_name
from faster_rcnn.weights.resolve import resolve_model


def stream(predictor: Predictor, paths: Sequence[Path]) -> int:
    """Predict all images and return their number."""
    return sum(1 for _ in predictor.stream(iter(paths), conf=0.5))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = parser_for(__doc__, count=32)
    options = parser.parse_args(arguments)
    paths = paths_of(parser, options)
    loaded, device = resolve_model(options.model), torch.device("cpu")
    precision = precision_for(loaded, "auto", device)
    two_at_once = Predictor(loaded, device, precision, exact=False)
    one_by_one = copy(two_at_once)
    one_by_one.two_at_once = False
    print(machine(), flush=True)
    compare(
        f"{len(paths)} images in {precision_name(precision)}, two at once (the peer: one after the other)",
        lambda: stream(two_at_once, paths),
        lambda: stream(one_by_one, paths),
        options.rounds,
    )


if __name__ == "__main__":
    main()
