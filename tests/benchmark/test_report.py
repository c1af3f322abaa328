"""The report of a benchmark: its table, its numbers and its page, by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from faster_rcnn.benchmark.report import GROUPS, STAGES, Benchmark, write_benchmark
from faster_rcnn.benchmark.roofline import Convolution, Roofline
from faster_rcnn.benchmark.stages import ImageTimes
from faster_rcnn.benchmark.values import BenchmarkSetup, Contender, Machine, Spread
from faster_rcnn.structures import ImageSize


def made() -> Benchmark:
    conv = Convolution((1, 3, 8, 8), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1, 1000)
    times = ImageTimes(0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256)
    return Benchmark(
        setup=BenchmarkSetup("<runs>", False, "float32", 1, ImageSize(416, 555), 1),
        machine=Machine("cpu", ("AVX2",), False, 2, 2, {"torch": "2"}),
        times=(times,),
        latency=Spread(0.5, 0.4, 0.6),
        stream=(2.0, 4.0, 2.5),
        roofline=Roofline(14_000_000, ((conv, 1e9),)),
        memory=123_400_000,
        layout="torchvision:x",
        contenders=(
            Contender("ours", "bfloat16", Spread(0.3, 0.2, 0.4), 7),
            Contender("torchvision 1", "float32", Spread(0.6, 0.5, 0.7), 8),
        ),
    )


def test_the_table_by_hand() -> None:
    lines = made().table().splitlines()
    assert lines[0].split() == ["stage", "median", "10th", "to", "90th", "percentile", "share"]
    assert lines[9].split() == ["post-processing", "256.0", "ms", "256.0", "to", "256.0", "ms", "50.1", "%"]
    assert lines[5].startswith("RPN head ")
    assert lines[10].split()[:3] == ["total", "511.0", "ms"]
    facts = dict(made().facts())
    assert facts["one at a time"] == "2 images per second, file to boxes: 500.0 ms (400.0 to 600.0 ms)"
    assert facts["as a stream"].startswith("2.5 images per second")
    # 14 million operations at 1 GFLOP/s are 14 ms; body, neck and head take 28.
    assert facts["lower bound"].startswith("14.0 ms: the 0.01 GFLOP")
    assert facts["measured"] == "these three take 28.0 ms (28.0 to 28.0 ms), 2.0 times the lower bound"
    assert facts["memory"] == "123 MB at most, the whole process"
    assert facts["machine"] == "cpu, AVX2, no AMX, oneDNN's bfloat16 is not used, 2 threads on 2 processors, torch 2"
    assert facts["compared with"].startswith("torchvision:x with the same weights")
    assert facts["torchvision 1"] == (
        "ours is 2.00 times as fast, pixels to boxes: 300.0 ms (200.0 to 400.0 ms) in bfloat16, "
        "600.0 ms (500.0 to 700.0 ms) in float32; 7 and 8 detections"
    )
    assert facts["images"].endswith("timed once after one that is not counted")
    assert not {"compared with", "torchvision 1"} & set(dict(replace(made(), layout=None, contenders=()).facts()))


def test_the_page_shows_every_stage_and_escapes_names(tmp_path: Path) -> None:
    page = write_benchmark(tmp_path, made()).read_text()
    assert page.count('<i class="c') == 2 * len(STAGES) + 2
    assert "torchvision 1, float32: 600.0 ms" in page
    assert 'style="width: 50.0%"' in page  # ours, of the slowest
    assert "&lt;runs&gt;" in page
    assert "<runs>" not in page
    assert "http" not in page  # nothing is fetched
    assert tuple(name for names in GROUPS.values() for name in names) == STAGES
