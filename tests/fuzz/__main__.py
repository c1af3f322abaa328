"""Runs mutations of one reader in a process of its own, whose memory is limited: READER FIRST COUNT.

Prints a line of JSON for each fault, with a copy of the file, and one for all mutations: how many were read and
refused, and the most seconds and megabytes that one of them took.
"""

from __future__ import annotations

import faulthandler
import json
import resource
import shutil
import sys
import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path

import torch

from fuzz.watching import MAX_MEGABYTES, MAX_SECONDS, Outcome, outcomes


def main(name: str, first: int, count: int) -> None:
    """Run ``count`` mutations of a reader, from number ``first`` on."""
    _limit_memory()
    total: dict[str, float] = {"accepted": 0, "refused": 0, "seconds": 0.0, "megabytes": 0.0}
    with tempfile.TemporaryDirectory() as root:
        _end_if_stuck()
        for one in outcomes(name, Path(root) / name, first, count):
            _end_if_stuck()
            total["refused"] += one.refusal is not None
            total["accepted"] += one.refusal is None and one.fault is None
            total["seconds"] = max(total["seconds"], round(one.seconds, 2))
            total["megabytes"] = max(total["megabytes"], round(one.megabytes))
            if one.fault is not None:
                kept = _kept(name, one, Path(root) / name / one.file)
                print(json.dumps({**asdict(one), "kept": str(kept)}), flush=True)
    print(json.dumps(total))


def _limit_memory() -> None:
    """What is mapped is limited, so that no fault takes the machine along; what is used is measured."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = size + int(3 * MAX_MEGABYTES) * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _end_if_stuck() -> None:
    """A library that does not come back to Python hears no alarm: the process ends with a traceback."""
    faulthandler.dump_traceback_later(20 * MAX_SECONDS, exit=True)


def _kept(name: str, one: Outcome, file: Path) -> Path:
    """Copy the file to a place where a person can inspect it."""
    kept = Path(tempfile.gettempdir()) / f"fuzz-{name}-{one.number}-{file.name}".replace(" ", "-")
    shutil.copy(file, kept)
    return kept


if __name__ == "__main__":
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
