"""Proposals by the RPN against selective search, in the detector's own time: the first paragraph of the paper.

As in its Table 5, the time of the RPN is that of its head, decoding and suppression; the shared features are counted
apart. Selective search runs in its fast mode at the image's own size, on one thread, one image at a time. Both systems
read the same features and pass their proposals to the same second stage.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TypeVar

import torch
from torch import Tensor

from faster_rcnn.data.decode import read_image
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.devices import choose_precision, computing_in
from faster_rcnn.images import normalise, pad_to_batch, rescale_proposals, resize, size_of
from faster_rcnn.model import FasterRCNN
from faster_rcnn.proposals.selective_search import selective_search
from faster_rcnn.weights.published import resolve_model

CPU = torch.device("cpu")
Result = TypeVar("Result")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="a run folder or model file with both stages")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split")
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    loaded = resolve_model(given.model)
    model = loaded.model.to(memory_format=torch.channels_last)
    dataset = load_dataset(given.data, loaded.config.data)
    records = dataset.split(given.split).records[: given.images]
    rows: list[dict[str, float]] = []
    with torch.inference_mode(), computing_in(choose_precision("auto", CPU), CPU):
        # Once over all of them first: every new size of a batch has kernels compiled for it.
        for number in range(given.rounds + 1):
            times = [stages(model, read_image(record.path, 10**9)[0]) for record in records]
            rows += times if number else []
    report({name: median(row[name] for row in rows) for name in rows[0]}, len(records), given.rounds)


def stages(model: FasterRCNN, pixels: Tensor) -> dict[str, float]:
    """Seconds of each stage for one image."""
    image = model.image
    small = resize(pixels, image.short_side, image.long_side, image.resize)
    batch = pad_to_batch([normalise(small, image.mean, image.std)], model.multiple)
    times: dict[str, float] = {}

    features: list[Tensor] = model.backbone(batch.pixels)  # warm caches alike for both
    times["features"], _ = timed(lambda: model.backbone(batch.pixels))
    times["RPN"], own = timed(
        lambda: model.rpn.propose(
            model.rpn(features), model.rpn.anchors(features, batch), batch.sizes, model.inference_filter
        )
    )
    times["regions of the RPN"], _ = timed(lambda: model.roi.detect(features, own, batch.sizes))
    times["selective search"], searched = timed(lambda: selective_search(pixels, "fast", 2000))
    outside = [rescale_proposals(searched, size_of(pixels), size_of(small))]
    times["regions of selective search"], _ = timed(lambda: model.roi.detect(features, outside, batch.sizes))
    return times


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds, and what came out."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def report(times: dict[str, float], images: int, rounds: int) -> None:
    """Both systems side by side, and how many times the RPN is faster."""
    print(f"medians over {images} images, {rounds} rounds, milliseconds per image")
    print(f"{'':14}{'Faster R-CNN':>14}{'Fast R-CNN + selective search':>32}")
    ours = (times["features"], times["RPN"], times["regions of the RPN"])
    theirs = (times["features"], times["selective search"], times["regions of selective search"])
    for name, mine, other in zip(("features", "proposals", "regions"), ours, theirs, strict=True):
        print(f"{name:14}{1000 * mine:14.1f}{1000 * other:32.1f}")
    print(f"{'total':14}{1000 * sum(ours):14.1f}{1000 * sum(theirs):32.1f}")
    print(f"{'proposals in %':14}{100 * ours[1] / sum(ours):14.0f}{100 * theirs[1] / sum(theirs):32.0f}")
    print(f"proposals {theirs[1] / ours[1]:.0f} times cheaper, the whole {sum(theirs) / sum(ours):.1f} times faster")


if __name__ == "__main__":
    main()
