"""Growth of time and memory with one quantity at a time, such as anchors or pixels; all others stay constant.

Each table gives the median time of several runs, the peak memory that the first run added, and the exponent with which
the time has grown since the row above: 1 is linear growth, 0 is none. Weights are random.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from timing import seconds
from torch import Tensor

from faster_rcnn.acceleration.folding import prepare_for_inference
from faster_rcnn.building import build_model, with_settings
from faster_rcnn.model import FasterRCNN
from faster_rcnn.roi.detections import DetectionFilter, select_detections
from faster_rcnn.rpn.anchors import anchors_of_levels, base_anchors
from faster_rcnn.rpn.proposals import ProposalFilter, select_proposals
from faster_rcnn.rpn.targets import AnchorSampling, rpn_targets
from faster_rcnn.settings.presets import preset
from faster_rcnn.structures import Anchors, GroundTruth, ImageSize, Proposals, TrainingBatch
from faster_rcnn.system.devices import choose_precision

CPU = torch.device("cpu")
SIZE = ImageSize(1024, 1024)
ANCHORS = (8_000, 32_000, 128_000, 512_000)
TRUTHS = (1, 10, 100, 1000, 5000)
CLASSES = (1, 12, 120, 1200)
PROPOSALS = (100, 300, 1000, 2000)
SIDES = (256, 512, 1024)
BATCHES = (1, 2, 4, 8)
SAMPLING = AnchorSampling(0.7, 0.3, 256, 0.5)


@dataclass(frozen=True)
class Row:
    """The measurement of one size."""

    size: int
    milliseconds: float
    megabytes: float | None
    """``None`` where the system does not report it."""
    power: float | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, help="plot of all tables; needs matplotlib")
    given = parser.parse_args()
    torch.manual_seed(0)
    tables: dict[str, list[Row]] = {}
    for name, (sizes, work_of) in workloads().items():
        tables[name] = measured(sizes, work_of, given.rounds)
        show(name, tables[name])
    if given.json:
        given.json.write_text(json.dumps({name: [asdict(row) for row in rows] for name, rows in tables.items()}))
    if given.picture:
        draw(tables, given.picture)


def workloads() -> dict[str, tuple[Sequence[int], Callable[[int], Callable[[], object]]]]:
    """The sizes of each quantity, and a function that returns the work of one size, by the name of the quantity."""
    network = prepare_for_inference(build_model(preset("small"), 3).eval(), choose_precision("auto", CPU), exact=False)
    return {
        "anchors, matched with 20 truths": (ANCHORS, lambda count: targets(anchors(count), truths(20))),
        "anchors, to 1000 proposals": (ANCHORS, proposals_of),
        "truths, matched with 32,000 anchors": (TRUTHS, lambda count: targets(anchors(32_000), truths(count))),
        "classes, 1000 regions to detections": (CLASSES, lambda count: detections(1000, count)),
        "proposals, through the second stage": (PROPOSALS, lambda count: second_stage(network, count)),
        "pixels of a side, whole detector": (SIDES, lambda side: whole(network, side)),
        "images of a batch, training step": (BATCHES, training),
    }


def boxes(count: int) -> Tensor:
    """Boxes at random places of the image, with sides of 16 to 200 pixels."""
    sides = 16 + 184 * torch.rand(count, 2)
    corners = torch.rand(count, 2) * (SIZE.width - sides)
    return torch.cat((corners, corners + sides), dim=1)


def anchors(count: int) -> Anchors:
    """About ``count`` anchors, three at each position of a square feature map over the image."""
    side = round(math.sqrt(count / 3))
    base = base_anchors([64], [0.5, 1, 2], rounding=False)
    return anchors_of_levels([base], [ImageSize(side, side)], [(SIZE.height / side,) * 2], CPU)


def truths(count: int) -> GroundTruth:
    labels = torch.zeros(count, dtype=torch.int64)
    return GroundTruth(boxes(count), labels, labels.bool())


def targets(references: Anchors, truth: GroundTruth) -> Callable[[], object]:
    return lambda: rpn_targets(references, truth, SAMPLING, 0)


def proposals_of(count: int) -> Callable[[], object]:
    references = anchors(count)
    logits, deltas = torch.randn(len(references.boxes), 1), torch.randn(len(references.boxes), 4) * 0.2
    rule = ProposalFilter(before_nms=1000, after_nms=1000, nms_iou=0.7, min_side=1e-3, score_floor=0)
    return lambda: select_proposals(logits, deltas, references, SIZE, rule)


def detections(count: int, classes: int) -> Callable[[], object]:
    """Select detections from regions with one likely and one less likely class each, as of a trained detector."""
    logits = torch.zeros(count, classes + 1)
    rows = torch.arange(count)
    logits[rows, torch.randint(classes, (count,))] = 12
    logits[rows, torch.randint(classes, (count,))] = 10
    deltas = torch.randn(count, classes, 4)
    given = Proposals(boxes(count), torch.rand(count))
    rule = DetectionFilter(
        score_floor=0.05, min_side=1e-2, nms_iou=0.5, max_detections=100, delta_weights=(10, 10, 5, 5)
    )
    return lambda: select_detections(logits, deltas, given, SIZE, rule)


def second_stage(network: FasterRCNN, count: int) -> Callable[[], object]:
    image = torch.randint(0, 256, (3, 416, 576), dtype=torch.uint8)
    outside = [Proposals(boxes(count) * 0.4, torch.rand(count))]
    with torch.no_grad():
        batch = network.preparation.batch([image])
        features = network.backbone(batch.pixels)
    regions = [each.boxes for each in outside]
    return torch.no_grad()(lambda: network.roi.select(network.roi(features, regions), outside, batch.sizes))


def whole(network: FasterRCNN, side: int) -> Callable[[], object]:
    """Detect in an image that is not resized, because it has the size that the settings demand."""
    image = torch.randint(0, 256, (3, side, side), dtype=torch.uint8)
    image_settings = network.preparation.image.model_copy(update={"short_side": side, "long_side": side})
    unresized = with_settings(network, image=image_settings)
    return lambda: unresized.detect([image])


def training(images: int) -> Callable[[], object]:
    model = build_model(preset("small"), 3).to(memory_format=torch.channels_last)
    pixels = [torch.randint(0, 256, (3, 416, 576), dtype=torch.uint8) for _ in range(images)]
    truth = GroundTruth(boxes(10) * 0.4, torch.zeros(10, dtype=torch.int64), torch.zeros(10, dtype=torch.bool))

    def step() -> None:
        model.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=choose_precision("auto", CPU) == torch.bfloat16):
            losses = model(TrainingBatch(tuple(pixels), (truth,) * images, tuple(range(images))))
        losses.total.backward()

    return step


def measured(sizes: Sequence[int], work_of: Callable[[int], Callable[[], object]], rounds: int) -> list[Row]:
    rows: list[Row] = []
    for size in sizes:
        work = work_of(size)
        before = reset_peak()
        work()
        peak = peak_megabytes()
        time = 1000 * median(seconds(work) for _ in range(rounds))
        memory = None if before is None or peak is None else max(0.0, peak - before)
        power = math.log(time / rows[-1].milliseconds) / math.log(size / rows[-1].size) if rows else None
        rows.append(Row(size, time, memory, power))
    return rows


def reset_peak() -> float | None:
    """Reset the peak memory of the process and return it in megabytes; ``None`` where the system cannot."""
    try:
        ctypes.CDLL(None).malloc_trim(0)  # freed memory that the process keeps would hide an increase
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return None
    return peak_megabytes()


def peak_megabytes() -> float | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def show(name: str, rows: Sequence[Row]) -> None:
    print(f"\n{name}\n{'size':>10}{'ms':>12}{'more MB':>12}{'power':>8}")
    for row in rows:
        memory = "n/a" if row.megabytes is None else f"{row.megabytes:.1f}"
        power = "" if row.power is None else f"{row.power:.2f}"
        print(f"{row.size:>10,}{row.milliseconds:>12.2f}{memory:>12}{power:>8}", flush=True)


def draw(tables: dict[str, list[Row]], path: Path) -> None:
    """Draw time against size on logarithmic axes, with a line of linear growth."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    figure = Figure(figsize=(11, 6), layout="constrained")
    panels = figure.subplots(2, 4).ravel()
    for panel, (name, rows) in zip(panels, tables.items(), strict=False):
        sizes, times = [row.size for row in rows], [row.milliseconds for row in rows]
        panel.loglog(sizes, times, marker="o", color="#0072B2", label="measured")
        linear = [times[-1] * size / sizes[-1] for size in sizes]
        panel.loglog(sizes, linear, linestyle=":", color="#888888", label="linear")
        panel.set_title(name.replace(", ", "\n"), fontsize=9, loc="left")
        panel.set_ylabel("ms")
        panel.set_xticks(sizes, labels=[f"{size // 1000}k" if size >= 1000 else str(size) for size in sizes])
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_formatter("")
        panel.xaxis.set_minor_locator(NullLocator())
    panels[0].legend(frameon=False, fontsize=8)
    for panel in panels[len(tables) :]:
        panel.remove()
    figure.savefig(path)


if __name__ == "__main__":
    main()
