"""AP of a trained detector through its exports, in float32: what a test split loses in ONNX Runtime and OpenVINO.

    python benchmarks/export_accuracy.py --model RUN --data DIR

The detector is exported for any number of images, ONNX with the preparation of images in its graph and OpenVINO without
it. The files and the detector are measured on the same split, all in float32. `export_matrix.py` compares image by
image.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bars import Bar, judge

from faster_rcnn.data.reading import load_split
from faster_rcnn.data.records import Split
from faster_rcnn.evaluation.detector import choose_split, measure_detector, settings_for
from faster_rcnn.export.files import write_file
from faster_rcnn.inference.exported import exported_detector
from faster_rcnn.inference.loading import ready_detector
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import PreparedDetector
from faster_rcnn.weights.exported import ExportFacts
from faster_rcnn.weights.resolve import resolve_model

FILES = {
    "ONNX": ("m.onnx", ExportFacts("onnx", None, None, nms=True, prepares=True)),
    "OpenVINO": ("m.xml", ExportFacts("openvino", None, None, nms=True, prepares=False)),
}
MAX_DIFFERENCE = 0.0005
"""Largest difference of AP, 0..1."""


def ap_of(detector: PreparedDetector, split: Split, model: str) -> float:
    """AP on a split; raises ``SystemExit`` where it has no objects."""
    found = measure_detector(Predictor(detector, batch=1), split, model).ap
    if found is None:
        raise SystemExit(f"{split.name} has no objects")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="run folder or model file")
    parser.add_argument("--data", type=Path, required=True, help="labelled images")
    parser.add_argument("--split", help="by default test where there is one, else val")
    given = parser.parse_args(arguments)
    loaded = resolve_model(given.model)
    split = choose_split(load_split(given.data, settings_for(given.data, loaded.config.data), given.split), given.split)
    ours = ap_of(ready_detector(loaded, "float32", "cpu"), split, given.model)
    print(f"ours: AP {ours:.6f} on {split.name}, {len(split.records)} images", flush=True)
    bars = []
    for name, (file, facts) in FILES.items():
        with TemporaryDirectory() as folder:
            path = Path(folder) / file
            write_file(loaded, facts, path)
            found = ap_of(exported_detector(path), split, given.model)
        print(f"{name}: AP {found:.6f}", flush=True)
        bars.append(Bar(f"difference of AP through {name}, 0..1", abs(found - ours), at_most=MAX_DIFFERENCE))
    return judge(bars)


if __name__ == "__main__":
    sys.exit(main())
