"""What the machine has: where tensors live, and whether bfloat16 is fast there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from faster_rcnn.errors import OptionError


def choose_device(name: str) -> torch.device:
    """``auto`` is the first GPU where there is one, else the CPU; raises ``OptionError`` for what is not there."""
    count = torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda:0" if count else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise OptionError(f"--device {name} is not a device; use auto, cpu, cuda or cuda:N", code="E126")
    if kind == "cuda" and int(index or 0) >= count:
        has = f"{count} CUDA devices" if count != 1 else "1 CUDA device (cuda:0)"
        raise OptionError(f"--device {name}: this machine has {has}. The CPU works: --device cpu", code="E126")
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Type of convolutions and matrix products; ``auto`` is bfloat16 where the processor computes in it."""
    if name == "float32" or (name == "auto" and not bfloat16_is_fast(device)):
        return torch.float32
    return torch.bfloat16


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether the processor has instructions for bfloat16 (AVX512-BF16, AMX; GPUs since Ampere) and may use them."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    has_instructions = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return bool(has_instructions and onednn_takes_bfloat16())


def onednn_takes_bfloat16() -> bool:
    """oneDNN's own answer: it honours ONEDNN_MAX_CPU_ISA, but is also yes where AVX-512 only emulates bfloat16."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def instruction_sets() -> list[str]:
    """Of the CPU: the widest vectors that torch's own kernels use, then what it has for bfloat16."""
    for_bfloat16 = {
        "AVX512-BF16": torch.cpu._is_avx512_bf16_supported(),
        "AMX": torch.cpu._is_amx_tile_supported(),
    }
    return [torch.backends.cpu.get_cpu_capability(), *(name for name, has in for_bfloat16.items() if has)]


@contextmanager
def computing_in(precision: torch.dtype, device: torch.device) -> Iterator[None]:
    """Convolutions and matrix products in ``precision``; boxes, losses and softmax stay float32 by themselves."""
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
        yield
