"""All that only a GPU can show, in one command of at most eight minutes: tests, parity, times, waits and memory.

    python benchmarks/gpu.py [--json FILE] [--seconds 480] [--small] [--sections tests,parity,waits]

Ours and torchvision's detector have the same random weights and images, and are measured in one run: detection and
training steps for batches of 1, 8 and 32 images, in float32 and bfloat16, with channels-last features and compiled.
Every section has a share of the time; what does not fit is left out by name. A part that fails is a line with its
reason. The JSON file is written after every part, so that a run that is ended has what it measured. Without a GPU, or
with --small, all runs at a small size on the device that there is.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torchvision
from bars import Bar, judge
from gpu_contenders import (
    Setting,
    Work,
    boxes_of,
    our_compiled_detection,
    our_detection,
    our_step,
    peer_detection,
    peer_step,
    raw_outputs,
)
from torch.torch_version import TorchVersion

from faster_rcnn.system.devices import choose_device, precision_name, supports_precision
from faster_rcnn.system.timing import timed
from faster_rcnn.training.batch_size import Trial, largest_batch

ROOT = Path(__file__).parents[1]
SHARES = {"tests": 6, "waits": 1, "parity": 2, "training": 7, "inference": 6, "batch": 2, "compiled": 4}
"""Sections in their order, each with its share of the time; a section may use what those before it left."""
MAX_DIFFERENCE = 1e-3
"""Of features and outputs in float32 from torchvision's, in shares of the largest value."""
MIN_SPEED = 1.0
"""Times torchvision's, in the same precision."""
PRECISIONS = (torch.float32, torch.bfloat16)
REASON_LENGTH = 300
"""Characters of the reason of a failure that are kept."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    preset: str
    short_side: int | None
    batches: tuple[int, ...]
    seconds: float
    """Minimum time of the rounds of one contender, after a round that warms it up."""
    rounds: int
    """Minimum number of its rounds."""
    max_batch: int
    """Largest batch that the section ``batch`` tries."""


FULL = Sizes("base", None, (1, 8, 32), 2.0, 3, 64)
SMALL = Sizes("mobile-320", 64, (2,), 0.0, 1, 2)


@dataclass
class Report:
    """The results so far, printed line by line and written to a file after every part."""

    path: Path | None
    content: dict[str, Any] = field(default_factory=lambda: {"sections": {}})
    bars: list[Bar] = field(default_factory=list)

    def add(self, section: str, what: str, values: Mapping[str, object]) -> None:
        """Print and keep the numbers of one part."""
        self.content["sections"].setdefault(section, {})[what] = dict(values)
        shown = [f"{name} {_text(each)}" for name, each in values.items() if name != "output"]
        print(f"{section}: {what}: {', '.join(shown)}", flush=True)
        self.write()

    def write(self) -> None:
        if self.path is not None:
            new = self.path.with_name(self.path.name + ".part")
            new.write_text(json.dumps(self.content, indent=1) + "\n", encoding="utf-8")
            os.replace(new, self.path)


@dataclass
class Section:
    """One section of the run: its parts, its time, and where its results go."""

    name: str
    report: Report
    ends: float
    """By ``time.monotonic``."""

    def part(self, what: str, work: Callable[[], Mapping[str, object]]) -> Mapping[str, object] | None:
        """Run one part within the section's time and report its numbers, or the reason why there are none."""
        if time.monotonic() >= self.ends:
            self.report.add(self.name, what, {"left out": "the time of the section is over"})
            return None
        try:
            with _interrupted_at(self.ends):
                values = work()
        except Exception as error:  # noqa: BLE001  # a part that fails is a result, whatever fails in it
            reason = next(iter(str(error).strip().splitlines()), "")[:REASON_LENGTH]
            self.report.add(self.name, what, {"failed": f"{type(error).__name__}: {reason}"})
            return None
        self.report.add(self.name, what, values)
        return values

    @property
    def seconds(self) -> float:
        """Seconds that are left."""
        return max(0.0, self.ends - time.monotonic())


def run_tests(section: Section, setting: Setting, sizes: Sizes) -> None:
    """The tests that need a GPU, and those that state where a GPU is waited for."""
    for name in ("test_on_gpu.py", "test_device_waits.py"):
        found = section.part(name, partial(_outcome_of, ROOT / "tests" / name, section.seconds))
        failed = float("nan") if found is None else float(str(found["failed"])) + float(str(found["errors"]))
        section.report.bars.append(Bar(f"failures of {name}", failed, at_most=0))


def _outcome_of(file: Path, seconds: float) -> dict[str, object]:
    """Numbers of tests of a file by outcome, and the last lines of what pytest printed where one failed."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-rA", str(file)]
    source = os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    lines = ended.stdout.splitlines()
    counts: dict[str, object] = {
        name: sum(line.startswith(mark) for line in lines)
        for name, mark in (("passed", "PASSED"), ("failed", "FAILED"), ("errors", "ERROR"), ("skipped", "SKIPPED"))
    }
    if ended.returncode not in (0, 5):  # 5: no test was selected
        counts["errors"] = max(1, int(str(counts["errors"]))) if not counts["failed"] else counts["errors"]
        counts["output"] = (ended.stdout + ended.stderr)[-3000:]
    return counts


def run_parity(section: Section, setting: Setting, sizes: Sizes) -> None:
    """Features and first-stage outputs in IEEE float32 against those of torchvision on the same device."""
    found = section.part("features and first stage", lambda: _difference(setting))
    largest = float("nan") if found is None else float(str(found["largest difference"]))
    section.report.bars.append(
        Bar("difference from torchvision's features and outputs", largest, at_most=MAX_DIFFERENCE)
    )


def _difference(setting: Setting) -> dict[str, object]:
    with _ieee_float32():
        pairs = list(zip(*raw_outputs(setting), strict=True))
    differences = [float((one - other).abs().max() / other.abs().max()) for one, other in pairs]
    return {"largest difference": max(differences), "tensors": len(differences)}


def run_training(section: Section, setting: Setting, sizes: Sizes) -> None:
    """Training steps of ours and of torchvision's, in turn for every batch and precision."""
    for batch in sizes.batches:
        for precision in _precisions(setting.device):
            what = f"batch {batch} in {precision_name(precision)}"
            makers = {"ours": our_step, "torchvision": peer_step}
            _compare(
                section, what, {name: partial(make, setting, batch, precision) for name, make in makers.items()}, batch
            )


def run_inference(section: Section, setting: Setting, sizes: Sizes) -> None:
    """Detection by ours and by torchvision's, from uint8 images in main memory to boxes there."""
    setting = setting.spread()
    for batch in sizes.batches:
        for precision in _precisions(setting.device):
            what = f"batch {batch} in {precision_name(precision)}"
            makers: dict[str, Callable[[], Work]] = {
                "ours": partial(our_detection, setting, batch, precision, exact=False),
                "torchvision": partial(peer_detection, setting, batch, precision),
            }
            if precision == torch.float32:
                makers["ours, contiguous"] = partial(our_detection, setting, batch, precision, exact=True)
            _compare(section, what, makers, batch)


def _compare(section: Section, what: str, makers: Mapping[str, Callable[[], Work]], batch: int) -> None:
    """Measure contenders one after the other; a bar holds the ratio of the first two."""
    medians = []
    for name, make in makers.items():
        found = section.part(f"{what}, {name}", partial(_measured, make, batch, section))
        medians.append(None if found is None else float(str(found["images per second"])))
    ours, theirs, *_ = medians
    if ours is not None and theirs is not None:
        section.report.bars.append(
            Bar(f"{section.name}, {what}: speed of ours times torchvision's", ours / theirs, at_least=MIN_SPEED)
        )


def _measured(make: Callable[[], Work], batch: int, section: Section) -> dict[str, object]:
    """Images per second and the peak of a GPU's memory; the contender is made here and freed here."""
    sizes = section.report.content["sizes"]
    on, work = torch.device(section.report.content["device"]), None
    try:
        work = make()
        _forget_peak(on)
        _, first = timed(work, on)
        times = [timed(work, on)[0]]
        while sum(times) < sizes["seconds"] or len(times) < sizes["rounds"]:
            times.append(timed(work, on)[0])
        return {
            "images per second": batch / statistics.median(times),
            "seconds": statistics.median(times),
            "rounds": len(times),
            **boxes_of(first),
            **_peak(on),
        }
    finally:
        del work
        _free(on)


def run_waits(section: Section, setting: Setting, sizes: Sizes) -> None:
    """How often a training step and a detection wait for the GPU, as CUDA counts it; a CPU waits for nothing."""
    if setting.device.type != "cuda":
        section.report.add(section.name, "CUDA's count", {"left out": "there is no GPU"})
        return
    for count in (1, 2, 8):
        makers = {
            "training step": partial(our_step, setting, count, torch.float32),
            "detection": partial(our_detection, setting, count, torch.float32, exact=False),
        }
        for name, make in makers.items():
            section.part(f"{name} of {count} images", partial(_waits, make))


def _waits(make: Callable[[], Work]) -> dict[str, object]:
    work = make()
    work()  # what happens once is not counted
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    found = [each for each in caught if "called a synchronizing" in str(each.message)]
    places: dict[str, int] = {}
    for each in found:
        place = f"{Path(each.filename).name}:{each.lineno}"
        places[place] = places.get(place, 0) + 1
    return {"waits": len(found), "places": places}


def run_batch(section: Section, setting: Setting, sizes: Sizes) -> None:
    """The number of images that ``--batch auto`` would find without its limits."""

    def found() -> dict[str, object]:
        with Trial(setting.loaded.config, len(setting.loaded.classes), setting.device) as trial:
            best = largest_batch(trial, sizes.max_batch)
        return {"images": best.images, "share of the memory": best.share, "largest tried": sizes.max_batch}

    section.part("largest training batch", found)


def run_compiled(section: Section, setting: Setting, sizes: Sizes) -> None:
    """Detection with body, neck and RPN head compiled; the first round, which compiles, is not counted."""
    if setting.device.type != "cuda":
        section.report.add(section.name, "compiled", {"left out": "there is no GPU; reference.py compiles for a CPU"})
        return
    setting = setting.spread()
    for batch in sizes.batches:
        for precision in reversed(_precisions(setting.device)):
            what = f"batch {batch} in {precision_name(precision)}, ours, compiled"
            make = partial(our_compiled_detection, setting, batch, precision)
            section.part(what, partial(_measured, make, batch, section))


RUNS: dict[str, Callable[[Section, Setting, Sizes], None]] = {
    "tests": run_tests,
    "waits": run_waits,
    "parity": run_parity,
    "training": run_training,
    "inference": run_inference,
    "batch": run_batch,
    "compiled": run_compiled,
}


def _precisions(device: torch.device) -> list[torch.dtype]:
    return [each for each in PRECISIONS if supports_precision(each, device)]


@contextmanager
def _ieee_float32() -> Iterator[None]:
    """Inside the block a GPU computes float32 as such, without TensorFloat-32."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@contextmanager
def _interrupted_at(end: float) -> Iterator[None]:
    """Raise ``TimeoutError`` inside the block once the time has come; an operation that runs then ends first."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("the time of the section is over")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, max(0.01, end - time.monotonic()))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: torch.device) -> dict[str, object]:
    return {"peak memory": torch.cuda.max_memory_allocated(device)} if device.type == "cuda" else {}


def _free(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def machine_of(device: torch.device) -> dict[str, object]:
    """The device and the versions that the numbers depend on."""
    found: dict[str, object] = {
        "torch": str(TorchVersion(torch.__version__)),
        "torchvision": torchvision.__version__,
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    if device.type == "cuda":
        gpu = torch.cuda.get_device_properties(device)
        found |= {"name": gpu.name, "memory": gpu.total_memory, "capability": f"{gpu.major}.{gpu.minor}"}
        found |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for all results")
    parser.add_argument("--seconds", type=float, default=480.0, help="time of the whole run")
    parser.add_argument("--small", action="store_true", help="small images and batches, as without a GPU")
    parser.add_argument("--sections", default=",".join(SHARES), help="some of the sections")
    options = parser.parse_args(arguments)
    names = [name for name in SHARES if name in options.sections.split(",")]
    device = choose_device("auto")
    sizes = SMALL if options.small or device.type == "cpu" else FULL
    report, began = Report(options.json), time.monotonic()
    report.content |= {"device": str(device), "machine": machine_of(device), "sizes": vars_of(sizes)}
    print(f"{device}, {sizes}; {report.content['machine']}", flush=True)
    report.write()
    setting = Setting.of(sizes.preset, sizes.short_side, device)
    for number, name in enumerate(names):
        left = began + options.seconds - time.monotonic()
        share = SHARES[name] / sum(SHARES[each] for each in names[number:])
        start = time.monotonic()
        RUNS[name](Section(name, report, start + left * share), setting, sizes)
        report.content["seconds"] = {**report.content.get("seconds", {}), name: time.monotonic() - start}
    code = judge(report.bars)
    report.content["bars"] = [str(bar) for bar in report.bars]
    report.write()
    return code


def vars_of(sizes: Sizes) -> dict[str, object]:
    """The fields of ``Sizes`` by name."""
    return {name: getattr(sizes, name) for name in Sizes.__dataclass_fields__}


if __name__ == "__main__":
    sys.exit(main())
