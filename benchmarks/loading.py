"""Time of loading model files of presets with random weights, against another checkout.

    python benchmarks/loading.py --against OTHER/src

This code and the other are timed in turn, each in a process of its own, which loads a file several times after one load
that is not counted. The checksum of the file, one pass over its bytes, is timed separately and subtracted from the time
of this code; the bar is 1.1 times the time of the other code.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bars import Bar, judge
from checkouts import OURS, median_with_range, output_of
from timing import seconds

SAVE = """
import sys
from pathlib import Path
from faster_rcnn.building import build_model
from faster_rcnn.settings.presets import preset
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.model_file import save_model
config, names = preset(sys.argv[2]), tuple(f"class {number}" for number in range(80))
save_model(Path(sys.argv[1]), build_model(config, 80), config, ClassMap(names, tuple(range(80))))
"""
LOAD = """
import sys, time
from pathlib import Path
from faster_rcnn.weights.model_file import load_model
took = []
for _ in range(1 + int(sys.argv[2])):
    start = time.perf_counter()
    load_model(Path(sys.argv[1]))
    took.append(time.perf_counter() - start)
print(sorted(took[1:])[len(took[1:]) // 2])
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="the src folder of another checkout")
    parser.add_argument("--presets", default="small,base")
    parser.add_argument("--loads", type=int, default=9)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        bars = [bar for name in options.presets.split(",") if (bar := timed(name, Path(folder), options)) is not None]
    return judge(bars) if options.against is not None else 0


def timed(name: str, folder: Path, options: argparse.Namespace) -> Bar | None:
    """Time the loading of one preset, in turn with the other code where it is given."""
    sources = [OURS, *([options.against] if options.against is not None else [])]
    files = [folder / f"{name}-{number}.safetensors" for number in range(len(sources))]
    for source, file in zip(sources, files, strict=True):  # each code writes its own file, because settings may differ
        output_of(source, SAVE, file, name)
    content = files[0].read_bytes()
    checksum = statistics.median(seconds(partial(zlib.crc32, content)) for _ in range(options.loads))
    pairs = list(zip(sources, files, strict=True))
    rounds = [
        [float(output_of(source, LOAD, file, options.loads)) for source, file in pairs] for _ in range(options.rounds)
    ]
    spreads = [median_with_range(each, 4) for each in zip(*rounds, strict=True)]
    print(
        f"{name}, {len(content) / 1e6:.0f} MB: after {spreads[0]}, of which the checksum takes {checksum:.4f} s"
        f"{f', before {spreads[1]}' if len(spreads) > 1 else ''}",
        flush=True,
    )
    if options.against is None:
        return None
    ratio = statistics.median((ours - checksum) / before for ours, before in rounds)
    return Bar(f"time of loading {name} without its checksum, times that before", ratio, at_most=1.1)


if __name__ == "__main__":
    sys.exit(main())
