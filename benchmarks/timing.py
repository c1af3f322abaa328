"""Timing of two pieces of work in turn, with medians and their ratio."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from faster_rcnn.system.devices import choose_precision, instruction_sets, precision_name


def seconds(work: Callable[[], object]) -> float:
    """Seconds of one run."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(label: str, ours: Callable[[], object], peer: Callable[[], object], rounds: int, warm_up: int = 1) -> float:
    """Run both in turn, A B A B; print both medians with their range, and return the median of the ratios."""
    for _ in range(warm_up):
        ours()
        peer()
    pairs = [(seconds(ours), seconds(peer)) for _ in range(rounds)]
    ratio = statistics.median(mine / other for mine, other in pairs)
    print(
        f"{label}: ours {_spread([mine for mine, _ in pairs])}, peer {_spread([other for _, other in pairs])}, "
        f"ratio {ratio:.3f} ({1 / ratio:.2f} times as fast)",
        flush=True,
    )
    return ratio


def machine() -> str:
    """The properties of this CPU that decide its speed: instructions, the precision that `auto` chooses, threads."""
    found = instruction_sets()
    chosen = precision_name(choose_precision("auto", torch.device("cpu")))
    amx = "" if "AMX" in found else ", no AMX"
    return f"{', '.join(found)}{amx}; precision auto is {chosen}; threads: {torch.get_num_threads()}"


def _spread(times: list[float]) -> str:
    return f"{1000 * statistics.median(times):.1f} ms ({1000 * min(times):.1f}..{1000 * max(times):.1f})"
