"""A stream of image files on a CPU: two images processed concurrently, each on half of the threads, or one by one.

    python benchmarks/stream.py --model RUN --images DIR

One by one, the next image is decoded while the detector computes, as `--precision float32` does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from pictures import parser_for, paths_of
from timing import compare, machine

from faster_rcnn.acceleration.selection import precision_for
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prefetch import prefetched, two_workers
from faster_rcnn.inference.prepared import prepare
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
    detector = prepare(loaded, device, precision, exact=False)
    concurrently = Predictor(detector, schedule=two_workers)
    one_by_one = Predictor(detector, schedule=prefetched)
    print(machine(), flush=True)
    compare(
        f"{len(paths)} images in {precision_name(precision)}, two at a time (the peer: one after the other)",
        lambda: stream(concurrently, paths),
        lambda: stream(one_by_one, paths),
        options.rounds,
    )


if __name__ == "__main__":
    main()
