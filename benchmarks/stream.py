"""A stream of image files on a CPU: two images at once, each on half of the threads, against one after the other.

    python benchmarks/stream.py --model RUN --images DIR

One after the other the next image is decoded while one is looked at, as `--precision float32` does it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from copy import copy
from itertools import islice
from pathlib import Path

import torch
from timing import compare, machine

from faster_rcnn.devices import precision_name
from faster_rcnn.inference.predictor import Predictor, precision_for
from faster_rcnn.inference.sources import images_of
from faster_rcnn.weights.published import resolve_model


def stream(predictor: Predictor, paths: Sequence[Path]) -> int:
    """How many images were looked at."""
    return sum(1 for _ in predictor.stream(iter(paths), conf=0.5))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="run folder, model file or published name")
    parser.add_argument("--images", required=True, nargs="+", help="files, folders or patterns")
    parser.add_argument("--count", type=int, default=32, help="how many of the images at most")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    paths = list(islice(images_of(options.images), options.count))
    loaded, device = resolve_model(options.model), torch.device("cpu")
    precision = precision_for(loaded, "auto", device)
    two_at_once = Predictor(loaded, device, precision, exact=False)
    one_by_one = copy(two_at_once)
    one_by_one._two_at_once = lambda: False  # type: ignore[method-assign]
    print(machine(), flush=True)
    compare(
        f"{len(paths)} images in {precision_name(precision)}, two at once (the peer: one after the other)",
        lambda: stream(two_at_once, paths),
        lambda: stream(one_by_one, paths),
        options.rounds,
    )


if __name__ == "__main__":
    main()
