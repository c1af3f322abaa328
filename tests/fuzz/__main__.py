"""Runs mutations of one reader in a process of its own, whose memory is limited; see ``watching``."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path

import torch

from fuzz.watching import MOST_MEGABYTES, outcomes

NAME, FIRST, COUNT = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

warnings.simplefilter("error")
torch.set_num_threads(1)
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
limit = size + int(3 * MOST_MEGABYTES) * 1_000_000  # mapped, not used: what is used at most is measured
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
accepted = refused = 0
slowest = most = 0.0
with tempfile.TemporaryDirectory() as root:
    for one in outcomes(NAME, Path(root) / NAME, FIRST, COUNT):
        refused += one.refusal is not None
        accepted += one.refusal is None and one.fault is None
        slowest, most = max(slowest, one.seconds), max(most, one.megabytes)
        if one.fault is not None or "-v" in sys.argv:
            print(json.dumps(asdict(one)), flush=True)
print(json.dumps({"accepted": accepted, "refused": refused, "slowest": round(slowest, 2), "megabytes": round(most)}))
