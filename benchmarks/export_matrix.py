"""Exports whole detectors in every kind of file, and compares what each file finds; exits 1 where one differs.

    python benchmarks/export_matrix.py [--detectors small base paper c4] [--kinds onnx onnx-raw openvino pt2]
        [--image-size PIXELS] [--proposals N]

A detector is a preset with made weights (see `decided_weights.py`), `c4` for Detectron2's C4 with such weights in a
file of its names, which is imported, or a trained model by its path. Of each kind one file is written, for any number
of images of any size, and compared in batches of 1, 2 and 5 with our detector in float32, on a blank image, a crowded
one and one with a single tiny object, each in two wide sizes and a high one. Fewer pixels and proposals take less time:
`c4` runs ResNet's last stage on each of its 1,000 proposals.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from bars import Bar, judge
from decided_weights import decide
from torch import Tensor

from faster_rcnn.benchmark.loading import at_image_size
from faster_rcnn.building import build_model
from faster_rcnn.export.files import write_file
from faster_rcnn.export.verification import MAX_BOX, MAX_SCORE, Differences, Expected, compare_batches, expected_of
from faster_rcnn.inference.exported import exported_detector
from faster_rcnn.inference.loading import ready_detector
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.resolve import resolve_config
from faster_rcnn.structures import ClassMap, ImageSize
from faster_rcnn.weights.exported import ExportFacts
from faster_rcnn.weights.foreign.layouts import LAYOUTS, model_from_layout
from faster_rcnn.weights.model_file import LoadedModel
from faster_rcnn.weights.resolve import resolve_model

KINDS = {
    "onnx": ("onnx", ".onnx", True, True),
    "onnx-raw": ("onnx", ".onnx", False, True),
    "openvino": ("openvino", ".xml", True, False),
    "pt2": ("pt2", ".pt2", True, False),
}
"""Format, ending, whether NMS is in the graph, and whether images are prepared in it."""
SIZES = (ImageSize(480, 640), ImageSize(375, 500), ImageSize(640, 480))
"""Two wide sizes and a high one."""
CALLS = ((0,), (1,), (2,), (1, 2), (0, 1), (0, 1, 2, 1, 0))
"""Images of each call, by their index in ``images_at``: batches of 1, 2 and 5."""
CLASSES = ClassMap(("a", "b", "c"), (1, 2, 3))
DETECTRON2 = "detectron2:faster_rcnn_R_50_C4_3x"
OBJECTS, TINY = 60, 6
"""Objects of the crowded image, and the side of the tiny one in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """The images of one size, and what our detector finds in them."""

    pixels: list[Tensor]
    expected: list[Expected]


def images_at(size: ImageSize) -> list[Tensor]:
    """A blank image, a crowded one and one with a single tiny object."""
    generator = torch.Generator().manual_seed(size.width)
    blank = torch.full((3, *size), 127, dtype=torch.uint8)
    crowded, tiny = blank.clone(), blank.clone()
    for _ in range(OBJECTS):
        sides = [int(torch.randint(8, side // 3, (), generator=generator)) for side in size]
        y, x = (
            int(torch.randint(0, side - own, (), generator=generator)) for side, own in zip(size, sides, strict=True)
        )
        texture = torch.randint(0, 256, (3, *sides), generator=generator)
        colour = torch.randint(0, 256, (3, 1, 1), generator=generator)
        crowded[:, y : y + sides[0], x : x + sides[1]] = (colour * 3 + texture) // 4
    y, x = size.height // 3, size.width // 2
    tiny[:, y : y + TINY, x : x + TINY] = torch.tensor([250, 30, 20], dtype=torch.uint8)[:, None, None]
    return [blank, crowded, tiny]


def detector_of(name: str, image_size: int | None, proposals: int | None) -> LoadedModel:
    """A trained detector, a preset with made weights, or Detectron2's C4, imported from a file with made weights.

    Images are resized to ``image_size`` pixels of the shorter side, and have ``proposals`` proposals where weights are
    made, or as many as the detector's own settings ask for.
    """
    if Path(name).exists():
        return at_image_size(resolve_model(name), image_size)
    torch.manual_seed(0)
    blank, crowded, tiny = images_at(SIZES[0])
    config = LAYOUTS[DETECTRON2].config() if name == "c4" else preset(name)
    settings = () if proposals is None else (f"rpn.proposals_after_nms={proposals}",)
    config = resolve_config(None, None, settings, {"image_size": image_size}, start=config)
    model = build_model(config, len(CLASSES)).eval()
    decide(model, config, crowded, blank, tiny)
    if name != "c4":
        return LoadedModel(model, config, CLASSES)
    own = {key: each for key, each in model.state_dict().items() if not key.endswith("num_batches_tracked")}
    return model_from_layout("made here", LAYOUTS[DETECTRON2].to_theirs(own), DETECTRON2, CLASSES, config)


def compare_kind(loaded: LoadedModel, kind: str, sets: Sequence[Images], folder: Path) -> Differences:
    """Write a file and compare it on all images; ``undecided`` counts images, each once."""
    file_format, ending, nms, prepares = KINDS[kind]
    path = folder / f"{kind}{ending}"
    write_file(loaded, ExportFacts(file_format, None, None, nms, prepares), path)
    exported, found = exported_detector(path), Differences()
    for each in sets:
        found.undecided += sum(not one.is_decided for one in each.expected)
        for call in CALLS:
            pixels, expected = [each.pixels[i] for i in call], [each.expected[i] for i in call]
            compare_batches(found, exported, pixels, expected, len(call))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detectors", nargs="+", default=["small", "base", "paper", "c4"])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--image-size", type=int, help="pixels of the shorter side; by default the detector's own")
    parser.add_argument("--proposals", type=int, help="of an image, where weights are made")
    given = parser.parse_args(arguments)
    bars: list[Bar] = []
    for name in given.detectors:
        loaded, start = detector_of(name, given.image_size, given.proposals), time.monotonic()
        exact = ready_detector(loaded, "float32", "cpu")
        pixels = [images_at(size) for size in SIZES]
        sets = [Images(each, expected_of(exact, each)) for each in pixels]
        counts = ", ".join(
            "/".join(f"{len(one.detections)}{'' if one.is_decided else '?'}" for one in each.expected) for each in sets
        )
        print(f"{name}: ours finds {counts} in blank/crowded/tiny ({time.monotonic() - start:.0f} s)", flush=True)
        for kind in given.kinds:
            start = time.monotonic()
            with TemporaryDirectory() as folder:
                found = compare_kind(loaded, kind, sets, Path(folder))
            print(f"{name} {kind}: {found} ({time.monotonic() - start:.0f} s)", flush=True)
            bars += [
                Bar(f"{name} {kind}: worst box difference in pixels", found.box, at_most=MAX_BOX),
                Bar(f"{name} {kind}: worst score difference", found.score, at_most=MAX_SCORE),
                Bar(f"{name} {kind}: detections on one side alone", found.missing, at_most=0),
                Bar(f"{name} {kind}: images where rounding decides", found.undecided, at_most=0),
                Bar(f"{name} {kind}: detections compared", found.compared, at_least=100),
            ]
    return judge(bars)


if __name__ == "__main__":
    sys.exit(main())
