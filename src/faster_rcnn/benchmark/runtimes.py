"""Peers to time: torchvision's detector as it is, and its ONNX export in two runtimes."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from faster_rcnn.benchmark.subprocess_peer import in_own_process
from faster_rcnn.errors import OptionError
from faster_rcnn.system.packages import imported

RUNTIMES = {"torchvision": (), "onnxruntime": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino")}
"""Packages that each runtime needs; the extra in ``EXTRAS`` installs them."""
EXTRAS = {"onnxruntime": "onnx", "openvino": "openvino"}
OPSET = 17
"""Version of the ONNX operators; the newest that torch's exporter of traced models supports well."""


@dataclass(frozen=True, slots=True)
class Runner:
    """A detector in some runtime."""

    name: str
    """Name with version."""
    precision: str
    detect: Callable[[Tensor], Tensor]
    """From decoded uint8 pixels (3, H, W) to boxes (N, 4)."""


def runtimes_named(text: str) -> list[str]:
    """Names of runtimes from a list with commas.

    Raises:
        OptionError: a name is unknown or repeated (E125).
        MissingExtraError: a package of one is not installed.
    """
    names = [name.strip() for name in text.split(",")]
    if not set(names) <= set(RUNTIMES) or len(set(names)) != len(names):
        raise OptionError(f"--compare {text}: name some of {','.join(RUNTIMES)}, each once", code="E125")
    for name in names:
        for package in RUNTIMES[name]:
            imported(package, EXTRAS[name])
    return names


def runners(
    names: Sequence[str], theirs: nn.Module, example: Tensor, precision: torch.dtype, folder: Path
) -> list[Runner]:
    """One of torchvision's detectors in each runtime.

    Args:
        names: runtimes, some of ``RUNTIMES``.
        theirs: the detector, on the CPU.
        example: uint8 image (3, height, width) with which the export is traced; images of other sizes may follow.
        precision: number format for OpenVINO; the others compute in float32, their only type on a CPU by default.
        folder: folder for the exported file.
    """
    file = folder / "torchvision.onnx"
    if set(names) - {"torchvision"}:
        export_onnx(theirs, example, file)
    build: dict[str, Callable[[], Runner]] = {
        "torchvision": lambda: _torchvision(theirs),
        "onnxruntime": lambda: _onnxruntime(file),
        "openvino": lambda: openvino_runner(file, precision),
    }
    return [build[name]() for name in names]


def export_onnx(theirs: nn.Module, example: Tensor, path: Path) -> None:
    """Write a detector of torchvision as an ONNX file, by torchvision's own export code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about tracing, for which torchvision's code is written
        torch.onnx.export(
            theirs,
            ([_floats(example)],),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["image"],
            output_names=["boxes", "labels", "scores"],
            dynamic_axes={"image": {1: "height", 2: "width"}, "boxes": {0: "detections"}},
        )


def _torchvision(theirs: nn.Module) -> Runner:
    detect = _Torchvision(theirs)
    on_cpu = next(theirs.parameters()).device.type == "cpu"
    return Runner(
        f"torchvision {metadata.version('torchvision')}", "float32", in_own_process(detect) if on_cpu else detect
    )


@dataclass(frozen=True, slots=True)
class _Torchvision:
    theirs: nn.Module

    def __call__(self, pixels: Tensor) -> Tensor:
        device = next(self.theirs.parameters()).device
        with torch.inference_mode():
            boxes: Tensor = self.theirs([_floats(pixels.to(device))])[0]["boxes"]
        return boxes


def _onnxruntime(exported: Path) -> Runner:
    onnxruntime: Any = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(exported), options, providers=["CPUExecutionProvider"])

    def detect(pixels: Tensor) -> Tensor:
        return torch.from_numpy(session.run(["boxes"], {"image": _floats(pixels).numpy()})[0])

    return Runner(f"onnxruntime {metadata.version('onnxruntime')}", "float32", detect)


def openvino_runner(exported: Path, precision: torch.dtype | None) -> Runner:
    """An exported detector in OpenVINO, in ``precision``, or without one in the precision that OpenVINO chooses."""
    openvino: Any = importlib.import_module("openvino")
    settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "PERFORMANCE_HINT": "LATENCY"}
    if precision is not None:
        settings["INFERENCE_PRECISION_HINT"] = "bf16" if precision == torch.bfloat16 else "f32"
    compiled = openvino.Core().compile_model(str(exported), "CPU", settings)
    kind = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    used = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}.get(kind, kind)

    def detect(pixels: Tensor) -> Tensor:
        return torch.from_numpy(compiled({"image": _floats(pixels).numpy()})["boxes"])

    return Runner(f"openvino {metadata.version('openvino')}", used, detect)


def _floats(pixels: Tensor) -> Tensor:
    """Pixels as torchvision's detectors take them, 0..1."""
    return pixels.float() / 255
