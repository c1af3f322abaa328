"""Devices and precisions are chosen by the machine's devices and instructions."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
import torch

from faster_rcnn.errors import OptionError
from faster_rcnn.kernels.int8_layers import FULL_WEIGHTS, SAFE_WEIGHTS, weight_limit
from faster_rcnn.system import devices
from faster_rcnn.system.devices import (
    AUTO,
    bfloat16_is_fast,
    choose_device,
    choose_precision,
    float_precision,
    int8_is_fast,
    widest_instructions,
)

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")


class Processor:
    """An invented processor: what torch and oneDNN report about it."""

    def __init__(self, capability: str, *, onednn: bool = True, bfloat16: bool = False, amx: bool = False) -> None:
        self.capability, self.onednn, self.bfloat16, self.amx = capability, onednn, bfloat16, amx

    def install(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: self.capability)
        patch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: self.bfloat16)
        patch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: self.amx)
        patch.setattr(devices, "onednn_supports_bfloat16", lambda: self.onednn)


SAPPHIRE_RAPIDS = Processor("AVX512", bfloat16=True, amx=True)
ZEN_4 = Processor("AVX512", bfloat16=True)
SKYLAKE = Processor("AVX512")


@pytest.mark.parametrize(
    ("processor", "limit", "row"),
    [
        (SAPPHIRE_RAPIDS, None, "AMX"),
        (SAPPHIRE_RAPIDS, "default", "AMX"),
        (SAPPHIRE_RAPIDS, "AVX512_CORE_AMX", "AMX"),
        (SAPPHIRE_RAPIDS, "AVX512_CORE_FP16", "AVX512-BF16"),
        (SAPPHIRE_RAPIDS, "avx512_core_bf16", "AVX512-BF16"),
        (SAPPHIRE_RAPIDS, "AVX512_CORE_VNNI", "AVX512"),
        (ZEN_4, None, "AVX512-BF16"),
        (ZEN_4, "AVX512_CORE", "AVX512"),
        (SKYLAKE, None, "AVX512"),
        (Processor("AVX512", bfloat16=True, onednn=False), "AVX2", "AVX2"),
        (Processor("AVX2", bfloat16=True, amx=True), None, "AVX2"),  # ATEN_CPU_CAPABILITY=avx2
        (Processor("AVX2", onednn=False), None, "AVX2"),
        (Processor("DEFAULT", onednn=False), None, "less than AVX2"),
        (Processor("SVE256"), None, "less than AVX2"),
    ],
)
def test_the_row_of_a_processor_follows_the_instructions_that_torch_and_onednn_use(
    processor: Processor, limit: str | None, row: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor.install(monkeypatch)
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
        if limit is not None:
            monkeypatch.setenv(name, limit)
            assert widest_instructions() == row
            monkeypatch.delenv(name)
    if limit is None:
        assert widest_instructions() == row


def test_every_row_of_the_table_is_a_precision_of_floats() -> None:
    assert {row.floats for row in AUTO.values()} == {torch.float32, torch.bfloat16}
    assert widest_instructions() in AUTO


@pytest.mark.parametrize("row", AUTO)
@pytest.mark.parametrize("limit", [0, SAFE_WEIGHTS, FULL_WEIGHTS])
def test_auto_follows_the_table_and_int8_the_trial_of_its_sums(
    row: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "widest_instructions", lambda: row)
    monkeypatch.setattr(devices, "weight_limit", lambda: limit)
    assert choose_precision("auto", CPU) == AUTO[row].floats
    assert bfloat16_is_fast(CPU) == (AUTO[row].floats == torch.bfloat16)
    assert int8_is_fast() == (AUTO[row].int8 and limit > 0)
    assert (choose_precision("float32", CPU), choose_precision("bfloat16", CPU)) == (torch.float32, torch.bfloat16)


def test_no_clock_is_read_to_choose_a_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    def read() -> float:
        raise AssertionError("a stopwatch decides")

    for name in ("perf_counter", "monotonic", "time", "process_time"):
        monkeypatch.setattr(time, name, read)
    weight_limit.cache_clear()
    choose_precision("auto", CPU)
    int8_is_fast()


@pytest.mark.parametrize(
    ("mask", "row"),
    [
        ({"ATEN_CPU_CAPABILITY": "default"}, "less than AVX2"),
        ({"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}, "AVX2"),
        ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}, "AVX512"),
    ],
)
def test_masks_of_torch_and_onednn_are_honoured(mask: dict[str, str], row: str) -> None:
    """A process of its own reads the mask when it starts; the processor may have less than the mask allows."""
    script = "from faster_rcnn.system.devices import widest_instructions; print(widest_instructions())"
    env = {**os.environ, **mask}
    found = subprocess.run([sys.executable, "-c", script], env=env, check=True, capture_output=True, text=True)
    rows = list(AUTO)
    assert rows.index(found.stdout.strip()) >= rows.index(row)


@pytest.mark.parametrize("fast", [False, True])
def test_layers_that_are_not_int8_are_in_the_floats_of_auto(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "bfloat16_is_fast", lambda device: fast)
    assert choose_precision("int8", CPU) == torch.int8
    assert float_precision(torch.int8, CPU) == (torch.bfloat16 if fast else torch.float32)
    for precision in (torch.float32, torch.bfloat16):
        assert float_precision(precision, CPU) == float_precision(precision, GPU) == precision


def test_missing_devices_are_refused() -> None:
    assert choose_device("cpu") == CPU
    with pytest.raises(OptionError, match="E126 --device tpu is not a device"):
        choose_device("tpu")
    with pytest.raises(OptionError, match="E126 --device cuda:99: this machine has"):
        choose_device("cuda:99")
