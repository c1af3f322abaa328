"""``faster-rcnn doctor``: what this machine has, and whether a detector trains and detects on it.

Imports of torch stand inside the functions: one that does not load is among the things to be found.
"""

from __future__ import annotations

import math
import os
import platform
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from importlib import metadata

from faster_rcnn._version import __version__
from faster_rcnn.errors import MachineError
from faster_rcnn.settings.resolve import resolve_config
from faster_rcnn.system.console import fail, show

REQUIRED = ("torch", "torchvision", "timm", "pydantic", "safetensors", "hotcoco", "pillow", "numpy")
OPTIONAL = {
    "scikit-learn": "demo",
    "opencv-contrib-python-headless": "proposals",
    "matplotlib": "plots",
    "onnxruntime": "onnx",
    "openvino": "openvino",
    "pycocotools": "test",
}
"""Package to the extra that brings it."""
COLUMNS_OF_NAME = 14
SIDE = 96
"""Pixels of the self-test's image."""
SMALLER = (f"image.short_side={SIDE}", f"image.long_side={SIDE}", "roi.head_hidden=[64, 64]")
"""What makes the preset quick enough for a self-test."""


def run() -> int:
    """Print the report; returns 0, or 5 if something that is needed does not work."""
    checks: dict[str, Callable[[], str]] = {
        "packages": _packages,
        "optional": _optional_packages,
        "devices": _devices,
        "instructions": _instructions,
        "precision": _precision,
        "fused on CPU": _fused_operations,
        "compiler": _compiler,
        "operations": _operations,
        "self-test": _self_test,
    }
    _show_row("faster-rcnn", f"{__version__}, Python {platform.python_version()}, {platform.system()}")
    broken = [name for name, check in checks.items() if not _holds(name, check)]
    if broken:
        fail(f"error: not working on this machine: {', '.join(broken)}")
    return MachineError.exit_code if broken else 0


def _holds(name: str, check: Callable[[], str]) -> bool:
    """Print what a check found or how it failed."""
    try:
        found = check()
    except Exception as error:  # noqa: BLE001  # a broken installation may raise anything, and that is the finding
        _show_row(name, f"BROKEN: {type(error).__name__}: {' '.join(str(error).split())}")
        return False
    _show_row(name, found)
    return True


def _show_row(name: str, text: str) -> None:
    """Print one finding; on a terminal its further lines stand below its first word, elsewhere it is one line."""
    row = f"{name:<{COLUMNS_OF_NAME}}{text}"
    if sys.stdout.isatty():
        width, indent = shutil.get_terminal_size().columns, " " * COLUMNS_OF_NAME
        row = textwrap.fill(row, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)
    show(row)


def _packages() -> str:
    return ", ".join(f"{name} {metadata.version(name)}" for name in REQUIRED)


def _optional_packages() -> str:
    return ", ".join(_version_or_command(name, extra) for name, extra in OPTIONAL.items())


def _version_or_command(name: str, extra: str) -> str:
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return f"no {name} (pip install 'faster-rcnn[{extra}]')"


def _devices() -> str:
    import torch

    gpus = [f"cuda:{index} {torch.cuda.get_device_name(index)}" for index in range(torch.cuda.device_count())]
    return ", ".join([f"cpu ({torch.get_num_threads()} threads on {os.cpu_count()} processors)", *gpus])


def _instructions() -> str:
    from faster_rcnn.system.devices import instruction_sets

    return ", ".join(instruction_sets())


def _precision() -> str:
    from faster_rcnn.system.devices import choose_device, choose_precision, int8_is_fast, precision_name

    device = choose_device("auto")
    eight_bits = "8 bits are faster on the CPU (faster-rcnn quantize)" if int8_is_fast() else "8 bits are not faster"
    return f"auto is {precision_name(choose_precision('auto', device))} on {device}; {eight_bits}"


def _fused_operations() -> str:
    """The kinds of operations that oneDNN fuses in each precision; the parts of others are computed one by one."""
    import torch

    from faster_rcnn.kernels.fused_layers import OPERATIONS, fused_works
    from faster_rcnn.kernels.int8_layers import int8_works

    precisions: dict[str, list[str]] = {}
    for name, precision in (("float32", torch.float32), ("bfloat16", torch.bfloat16), ("int8", None)):
        kinds = dict.fromkeys((each.name for each in OPERATIONS), True)
        for each in OPERATIONS:
            kinds[each.name] &= int8_works(each) if precision is None else fused_works(each, precision)
        precisions.setdefault(_those_that_work(kinds), []).append(name)
    return "; ".join(f"{kinds} in {', '.join(names)}" for kinds, names in precisions.items())


def _those_that_work(kinds: Mapping[str, bool]) -> str:
    """All kinds by name, ``none``, or the kinds that do not work.

    >>> _those_that_work({"conv": True, "sum": False, "linear": True})
    'no sum'
    """
    missing = [name for name, works in kinds.items() if not works]
    return ", ".join(kinds) if not missing else "none" if len(missing) == len(kinds) else f"no {', '.join(missing)}"


def _compiler() -> str:
    from faster_rcnn.acceleration.compilation import found_compiler

    found = found_compiler()
    return f"{found} (for compiled inference)" if found else "none (needed for compiled inference alone)"


def _operations() -> str:
    """torchvision's compiled operations, which go missing where its version does not fit torch's."""
    import torch
    from torchvision.ops import nms, roi_align

    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 3.9]])
    kept = nms(boxes, torch.tensor([0.5, 0.9]), 0.5).tolist()
    pooled = roi_align(torch.ones(1, 1, 8, 8), [boxes], output_size=2, aligned=True)
    if kept != [1] or pooled.shape != (2, 1, 2, 2):
        raise MachineError(f"torchvision's nms kept {kept} instead of [1]; do its version and torch's belong together?")
    return "torchvision's nms and roi_align work"


def _self_test() -> str:
    """One training step and one detection of a small new detector, on the best device and in its precision."""
    import torch

    from faster_rcnn.building import build_model
    from faster_rcnn.structures import GroundTruth
    from faster_rcnn.system.devices import choose_device, choose_precision, computing_in
    from faster_rcnn.training.step import training_step

    start = time.perf_counter()
    device = choose_device("auto")
    precision = choose_precision("auto", device)
    model = build_model(resolve_config("small", None, SMALLER, {}), num_classes=2).to(device).train()
    image = torch.randint(0, 256, (3, SIDE, SIDE), dtype=torch.uint8)
    truth = GroundTruth(torch.tensor([[8.0, 8.0, 72.0, 64.0]]), torch.tensor([1]), torch.tensor([False]))
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=1e-3)
    losses = training_step(model, optimizer, [image], [truth], [0], lr=1e-3, clip_norm=10.0, precision=precision)
    with computing_in(precision, device):
        found = model.eval().detect([image.to(device)])[0]
    if not (math.isfinite(losses.total) and torch.isfinite(found.boxes).all()):
        raise MachineError("a new detector gave numbers that are not finite")
    return f"one training step and one detection on {device}, {time.perf_counter() - start:.1f} s"
