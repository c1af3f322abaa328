"""Pages as real runs make them, with names and numbers as long as they get."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from faster_rcnn.benchmark.report import Benchmark, write_benchmark
from faster_rcnn.benchmark.roofline import Convolution, Roofline
from faster_rcnn.benchmark.stages import ImageTimes, StageTimes
from faster_rcnn.benchmark.target import Target, Trial
from faster_rcnn.benchmark.values import BenchmarkSetup, Contender, Machine, Spread
from faster_rcnn.comparison.measure import FAST, FASTER
from faster_rcnn.comparison.report import Circumstances, Comparison, System, write_comparison
from faster_rcnn.evaluation.metrics import ClassMetrics, Metrics
from faster_rcnn.evaluation.recall import COUNTS, IOUS, ProposalRecall
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ImageSize
from faster_rcnn.training.examples import Example
from faster_rcnn.training.report import write_report

FOLDER = "runs/a-folder-of-several-data-sets_2026-11-29/cells"
CLASSES = ("cell", "white blood cell of the third kind", "x" * 120, "日本語クラス", "red-blood-cell_of_2024/11", "a b")


def write_pages(folder: Path) -> list[Path]:
    """One of each kind, in a folder."""
    return [made_benchmark(folder), made_comparison(folder), made_report(folder)]


def made_benchmark(folder: Path) -> Path:
    """Of a small model beside three others, with a time to keep."""
    conv = Convolution((1, 1152, 100, 160), (320, 1152, 1, 1), (1, 1), (0, 0), (1, 1), 1, 10**9)
    spread = Spread(0.3123, 0.2, 0.4)
    smaller = preset("small").model_copy(update={"image": preset("small").image.model_copy(update={"short_side": 312})})
    own, other = Trial(preset("small"), spread, 0.4), Trial(smaller, Spread(0.02, 0.01, 0.03), 0.3)
    names = ("ours", "torchvision 0.27.0+cpu", "onnxruntime 1.24.1", "openvino 2026.4.1")
    versions = {"faster-rcnn": "0.1.0", "torch": "2.12.0+cpu", "torchvision": "0.27.0+cpu", "onednn": "3.7.1"}
    return write_benchmark(
        folder,
        Benchmark(
            setup=BenchmarkSetup(f"{FOLDER}/best.safetensors", False, "bfloat16", 100, ImageSize(416, 555), 3),
            machine=Machine("cpu", ("AVX2", "AVX512", "AVX512-BF16", "VNNI"), True, 2, 2, versions),
            times=(ImageTimes(0.001, 0.002, 0.4567, 0.08, 0.016, 0.032, 0.164, 0.1284, 0.2563),),
            latency=Spread(0.5, 0.4, 0.6),
            stream=(2.0, 4.0, 2.5),
            roofline=Roofline(14_000_000_000, ((conv, 1.234e12),) * 10),
            memory=1_123_400_000,
            layout="torchvision:fasterrcnn_mobilenet_v3_large_320_fpn",
            contenders=tuple(Contender(name, "bfloat16", spread, 12_345) for name in names),
            target=Target(30.0, own, (other,), other),
        ),
    )


def made_comparison(folder: Path) -> Path:
    """Of two detectors."""
    how = Circumstances("cpu", "float32", 2, "selective search (quality)", 1200, 3)
    recall = ProposalRecall(
        images=1200,
        truths=3456,
        max_proposals=2000,
        recall={count: (0.75,) * len(IOUS) for count in COUNTS},
        average={count: {"all": 0.5} for count in COUNTS},
    )
    pair = [
        System(name, f"{FOLDER}-comparison/{run}", StageTimes(0.1, seconds, 1.03), 1234, recall, made_metrics())
        for name, run, seconds in ((FASTER, "faster-rcnn", 0.01), (FAST, "fast-rcnn", 12.345))
    ]
    return write_comparison(folder, Comparison(FOLDER, "test", how, *pair))


def made_report(folder: Path, refresh: int | None = None) -> Path:
    """Of a run of many epochs, with classes of all kinds of names and settings of all lengths."""
    epochs = range(1, 121)
    losses = {f"{kind}_{name}": 1.234 for kind in ("train", "val") for name in ("rpn_objectness", "rpn_box")}
    losses |= {f"{kind}_{name}": 0.321 for kind in ("train", "val") for name in ("roi_class", "roi_box")}
    accuracy = {"AP": 0.512, "AP50": 0.812, "AP75": 0.612}
    rows = [{"epoch": epoch, "step": 100 * epoch, "lr": 0.0123, **losses, **accuracy} for epoch in epochs]
    summary = {
        "data": FOLDER,
        "preset": "small",
        "classes": list(CLASSES),
        "ended": "no better AP for 20 epochs",
        "epochs": 120,
        "steps": 12_000,
        "images": 48_000,
        "best": rows[99],
        "training_seconds": 4000.0,
        "training_seconds_per_image": 0.0494,
        "validation_seconds": 700.5,
        "total_seconds": 5000.2,
        "device": "cpu",
        "precision": "bfloat16",
        "threads": 2,
        "changes": ["from step 11 on: threads 4 -> 2"],
        "versions": {"faster_rcnn": "0.1.0", "torch": "2.12.0+cpu", "python": "3.11.2"},
    }
    example = Example(f"images/{'y' * 80}.jpg", Image.new("RGB", (1000, 750), "grey"), 12, 13)
    return write_report(folder, summary, rows, _changed(), made_metrics(), [example] * 2, refresh)


def made_metrics() -> Metrics:
    """The same numbers for every class."""
    values: dict[str, Any] = dict.fromkeys(("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"), 0.512)
    recalls: dict[str, Any] = dict.fromkeys(("ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"), 0.612)
    per_class = tuple(ClassMetrics(name, 0.512, 0.812, 12_345) for name in CLASSES)
    return Metrics(**values, **recalls, per_class=per_class, images=1200, truths=3456, ignored=2, engine="", notes=())


def _changed() -> Config:
    usual = preset("small")
    rpn = {"anchor_sizes": ((16.0,), (32.0,), (64.0,), (128.0,), (256.0,)), "proposals_after_nms_training": 1234}
    data = {"train": f"{FOLDER}/annotations/instances_train_and_more_of_it.json"}
    return usual.model_copy(
        update={"rpn": usual.rpn.model_copy(update=rpn), "data": usual.data.model_copy(update=data)}
    )
