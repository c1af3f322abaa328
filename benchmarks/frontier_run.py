"""One run of `frontier.py`, in a process of its own: train a variant on a fold, measure it, and append its line."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from frontier_results import Run, append_line
from frontier_variants import VARIANTS, Fold

from faster_rcnn import Detector
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.system.devices import choose_precision, precision_name, widest_instructions
from faster_rcnn.training.run_folder import LAST


def place() -> tuple[str, str]:
    """The widest instruction set of this processor, and the precision in which it trains."""
    return widest_instructions(), precision_name(choose_precision("auto", torch.device("cpu")))


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    variant = VARIANTS[options.variant]
    start = time.monotonic()
    Detector.train(
        options.fold.folder,
        model=variant.preset,
        out=options.out,
        seed=options.seed,
        epochs=options.fold.epochs_for(options.images),
        threads=options.threads,
        settings=variant.all_settings,
    )
    seconds = time.monotonic() - start
    detector = Detector.load(options.out / LAST, precision="float32")
    found = detector.evaluate(options.fold.folder, "test")
    append_line(options.results, _run(options, found, seconds))
    return 0


def _run(options: argparse.Namespace, found: Metrics, seconds: float) -> Run:
    processor, precision = place()
    return Run(
        variant=options.variant,
        settings=str(VARIANTS[options.variant]),
        data=options.fold.data,
        fold=options.fold.number,
        seed=options.seed,
        images=options.images,
        ap=_rounded(found.ap),
        ap50=_rounded(found.ap50),
        ap75=_rounded(found.ap75),
        seconds=round(seconds, 1),
        threads=options.threads,
        processor=processor,
        precision=precision,
        commit=commit(),
    )


def _rounded(metric: float | None) -> float:
    if metric is None:
        raise SystemExit("the fold has no objects to find")
    return round(metric, 4)


def commit() -> str:
    """The first digits of the checkout's commit, with a + where files differ from it; empty outside a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def parser() -> argparse.ArgumentParser:
    """The options of one run, which `frontier.py` gives."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--variant", choices=VARIANTS, required=True)
    made.add_argument("--fold", type=Fold.parse, required=True, help="DATA-NUMBER=FOLDER")
    made.add_argument("--seed", type=int, required=True)
    made.add_argument("--images", type=int, required=True)
    made.add_argument("--threads", type=int, required=True)
    made.add_argument("--out", type=Path, required=True, help="folder of the run")
    made.add_argument("--results", type=Path, required=True)
    return made


if __name__ == "__main__":
    sys.exit(main())
