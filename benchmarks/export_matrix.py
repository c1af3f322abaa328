"""Exports whole presets in every kind of file, and prints the worst differences of each; exits 4 where one differs.

    python benchmarks/export_matrix.py --presets small base paper c4 --kinds onnx onnx-raw openvino pt2

Weights are random, with heads so loud that scores differ widely. Every file is compared on blank images, noise and
pictures, in batches of 1, 2 and 5, files for any size in two sizes; see docs/how-to/export.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from faster_rcnn.building import build_model
from faster_rcnn.errors import VerificationError
from faster_rcnn.export.run import export_verified
from faster_rcnn.settings.presets import preset
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.exported import ExportFacts
from faster_rcnn.weights.model_file import LoadedModel

KINDS = {
    "onnx": ("onnx", ".onnx", True, True),
    "onnx-raw": ("onnx", ".onnx", False, True),
    "openvino": ("openvino", ".xml", True, False),
    "pt2": ("pt2", ".pt2", True, False),
}
"""Format, ending, whether NMS is in the graph, and whether images are prepared in it."""
CLASSES = ClassMap(("a", "b", "c"), (1, 2, 3))
LOUDER = 30.0


def detector_of(name: str) -> LoadedModel:
    """The detector of a preset with random weights that decide."""
    torch.manual_seed(0)
    config = preset(name)
    model = build_model(config, len(CLASSES))
    with torch.no_grad():
        for layer in (model.rpn.head.objectness, model.roi.classes, model.roi.deltas):
            layer.weight.mul_(LOUDER)
    return LoadedModel(model.eval(), config, CLASSES)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["small", "base", "paper", "c4"])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    given = parser.parse_args()
    failed = 0
    for name in given.presets:
        loaded = detector_of(name)
        for kind in given.kinds:
            file_format, ending, nms, prepares = KINDS[kind]
            facts, start = ExportFacts(file_format, None, None, nms, prepares), time.monotonic()
            with TemporaryDirectory() as folder:
                try:
                    found = str(export_verified(loaded, facts, Path(folder) / f"{name}{ending}"))
                except VerificationError as error:
                    found, failed = f"DIFFERS: {error}", failed + 1
            print(f"{name} {kind}: {found} ({time.monotonic() - start:.0f} s)", flush=True)
    return 4 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
