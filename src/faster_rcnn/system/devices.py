"""The machine's devices, and the precision that ``auto`` stands for on each.

No timing decides: ``auto`` follows from the table ``AUTO``, by the instructions that torch and oneDNN use, so that all
processes on one machine compute in the same precision, whatever else the machine does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from faster_rcnn.errors import OptionError
from faster_rcnn.kernels.int8_layers import weight_limit
from faster_rcnn.system.distributed import ALONE, Processes

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}


@dataclass(frozen=True, slots=True)
class Auto:
    """The precisions that ``auto`` stands for on a CPU."""

    floats: torch.dtype
    """For a detector that is not quantized."""
    int8: bool
    """Whether a quantized detector computes in int8."""


AUTO = {
    "AMX": Auto(torch.bfloat16, int8=False),
    "AVX512-BF16": Auto(torch.bfloat16, int8=True),
    "AVX512": Auto(torch.float32, int8=True),
    "AVX2": Auto(torch.float32, int8=True),
    "less than AVX2": Auto(torch.float32, int8=False),
}
"""Precisions by the widest instructions of a CPU, as ``benchmarks/precisions.py`` measures them.

The rows of AVX512-BF16, AVX512 (with VNNI and without) and AVX2 were measured on an idle processor with AVX512-BF16 and
VNNI, the narrower ones with ``ONEDNN_MAX_CPU_ISA``: milliseconds of an image in float32, bfloat16 and int8 were 74, 38
and 30; 77, 147 and 30 (without VNNI 73, 145 and 38); 100, many times more and 61. On AMX only floats were measured:
bfloat16 took a quarter of the time of float32 for body, neck and RPN head of ``base``. Rows that were not measured have
float32 and no int8: int8 on AMX, and the last row, which includes processors other than x86.
"""


def choose_device(name: str, processes: Processes = ALONE) -> torch.device:
    """The device of an option: ``auto`` is the first GPU if there is one, else the CPU.

    Each of several processes on a machine has a GPU of its own, by its number.

    Raises ``OptionError`` (E126) for a device that this machine does not have.
    """
    count = torch.cuda.device_count()
    if processes.local_count > 1 and name != "cpu":
        name = _own_device(name, count, processes)
    if name == "auto":
        return torch.device("cuda:0" if count else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise OptionError(f"--device {name} is not a device; use auto, cpu, cuda or cuda:N", code="E126")
    if kind == "cuda" and int(index or 0) >= count:
        has = f"{count} CUDA devices" if count != 1 else "1 CUDA device (cuda:0)"
        raise OptionError(f"--device {name}: this machine has {has}. The CPU works: --device cpu", code="E126")
    return torch.device(name)


def _own_device(name: str, count: int, processes: Processes) -> str:
    """The device of one of several processes on a machine with ``count`` GPUs."""
    if name == "auto" and not count:
        return "cpu"
    if name.startswith("cuda:"):
        raise OptionError(
            f"--device {name}: the {processes.local_count} processes on this machine have a GPU each; give cuda or cpu",
            code="E126",
        )
    if name in ("auto", "cuda") and count < processes.local_count:
        raise OptionError(
            f"{processes.local_count} processes on this machine, which has {count} GPUs: start at most {count}, or "
            "compute on the CPU with --device cpu",
            code="E126",
        )
    return f"cuda:{processes.local_rank}" if name in ("auto", "cuda") else name


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Type of convolutions and matrix products; ``auto`` is bfloat16 where that is faster, else float32."""
    if name == "auto":
        return torch.bfloat16 if bfloat16_is_fast(device) else torch.float32
    return PRECISIONS[name]


def float_precision(precision: torch.dtype, device: torch.device) -> torch.dtype:
    """Type of the layers that stay in floats: ``precision`` itself, or that of ``auto`` where the others are int8."""
    return choose_precision("auto", device) if precision == torch.int8 else precision


def precision_name(precision: torch.dtype) -> str:
    """Name of a precision in options and reports.

    >>> precision_name(torch.bfloat16)
    'bfloat16'
    """
    return str(precision).removeprefix("torch.")


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32: on a GPU since Ampere, on a CPU by its instructions."""
    if device.type == "cuda":
        return supports_precision(torch.bfloat16, device)
    return AUTO[widest_instructions()].floats == torch.bfloat16


def int8_is_fast() -> bool:
    """Whether this CPU has int8 convolutions that give the right sums and are faster than those in floats."""
    return AUTO[widest_instructions()].int8 and weight_limit() > 0


def widest_instructions() -> str:
    """The row of ``AUTO`` for the instructions of this CPU that torch's and oneDNN's kernels use.

    ``ATEN_CPU_CAPABILITY`` and ``ONEDNN_MAX_CPU_ISA`` may restrict them to fewer than the CPU has.
    """
    of_torch = torch.backends.cpu.get_cpu_capability()
    if of_torch not in ("AVX2", "AVX512"):
        return "less than AVX2"
    if of_torch == "AVX2" or not onednn_supports_bfloat16():
        return "AVX2"
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "ALL")).upper()
    if torch.cpu._is_amx_tile_supported() and (limit in ("", "ALL", "DEFAULT") or "AMX" in limit):
        return "AMX"
    has_bfloat16 = torch.cpu._is_avx512_bf16_supported() and limit not in ("AVX512_CORE", "AVX512_CORE_VNNI")
    return "AVX512-BF16" if has_bfloat16 else "AVX512"


def onednn_supports_bfloat16() -> bool:
    """Whether oneDNN offers bfloat16: it honours ONEDNN_MAX_CPU_ISA, but accepts AVX-512, which only emulates it."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def instruction_sets() -> list[str]:
    """The widest vector instructions that torch's own kernels use, then those that oneDNN uses for bfloat16."""
    for_bfloat16 = {"AVX512-BF16": ["AVX512-BF16"], "AMX": ["AVX512-BF16", "AMX"]}
    return [torch.backends.cpu.get_cpu_capability(), *for_bfloat16.get(widest_instructions(), [])]


def supports_precision(precision: torch.dtype, device: torch.device) -> bool:
    """Whether a device computes in ``precision`` itself; emulation, which takes up to 30 times as long, is none."""
    if precision != torch.bfloat16:
        return True
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return onednn_supports_bfloat16()


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    """Use ``count`` CPU threads of torch inside the block, and as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def computing_in(precision: torch.dtype, device: torch.device) -> Iterator[None]:
    """Run convolutions and matrix products in ``precision``; boxes, losses and softmax stay float32 by themselves."""
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
        yield
