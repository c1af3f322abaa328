"""What the machine has: where tensors live, and whether bfloat16 and 8 bits are fast there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor, nn

from faster_rcnn.errors import OptionError
from faster_rcnn.ops.eight_bit import EightBitConv2d, Quantise, Range, weight_limit
from faster_rcnn.ops.fused_operations import Operation, fuses
from faster_rcnn.ops.onednn import RELU, FusedConv2d

TRIES = 5
"""Of each type when bfloat16 is tried; the first one, in which a kernel is chosen, is among them."""
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}


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
    if name == "auto":
        return torch.bfloat16 if bfloat16_is_fast(device) else torch.float32
    return PRECISIONS[name]


def type_of_floats(precision: torch.dtype, device: torch.device) -> torch.dtype:
    """Of what is not in 8 bits, where the rest is; otherwise it is ``precision`` itself."""
    return choose_precision("auto", device) if precision == torch.int8 else precision


def precision_name(precision: torch.dtype) -> str:
    """As options and reports have it.

    >>> precision_name(torch.bfloat16)
    'bfloat16'
    """
    return str(precision).removeprefix("torch.")


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether bfloat16 is faster: by the generation of a GPU (since Ampere), by instructions and a trial of a CPU."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    has_instructions = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return bool(has_instructions and onednn_takes_bfloat16()) and _convolves_faster_in_bfloat16()


@cache
def _convolves_faster_in_bfloat16() -> bool:
    """Tried once in a process, so that all of it computes in one type."""
    return convolution_seconds(torch.bfloat16) < convolution_seconds(torch.float32)


def convolution_seconds(precision: torch.dtype) -> float:
    """The least of a few tries on the CPU, for a convolution such as necks and heads have: some 10 milliseconds."""
    read, plain = _trial(torch.float32 if precision == torch.int8 else precision)
    conv: nn.Module = plain
    if precision == torch.int8:
        one = Range(0.0, 1.0)
        read, conv = Quantise(one)(read), EightBitConv2d(FusedConv2d(plain, RELU), one, one, None, torch.float32)
    elif fuses(Operation.of(plain, RELU), precision):
        conv = FusedConv2d(plain, RELU)
    seconds = []
    with torch.inference_mode():
        for _ in range(TRIES):
            start = time.perf_counter()
            conv(read)
            seconds.append(time.perf_counter() - start)
    return min(seconds)


def _trial(precision: torch.dtype) -> tuple[Tensor, nn.Conv2d]:
    """Features and a convolution to try."""
    read = torch.ones(1, 128, 64, 64, dtype=precision).to(memory_format=torch.channels_last)
    conv: nn.Conv2d = nn.utils.skip_init(nn.Conv2d, 128, 128, 3, padding=1, dtype=precision)
    for each in conv.requires_grad_(False).parameters():
        each.fill_(0.1)
    return read, conv.to(memory_format=torch.channels_last)


@cache
def eight_bits_are_fast() -> bool:
    """Whether convolutions in 8 bits are on this CPU, and faster than what ``auto`` takes; tried once in a process."""
    floats = choose_precision("auto", torch.device("cpu"))
    return weight_limit() > 0 and convolution_seconds(torch.int8) < convolution_seconds(floats)


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
