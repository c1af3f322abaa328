"""What is chosen by what the machine has."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import torch

from faster_rcnn import devices
from faster_rcnn.devices import (
    bfloat16_is_fast,
    choose_device,
    choose_precision,
    convolution_seconds,
    eight_bits_are_fast,
    type_of_floats,
)
from faster_rcnn.errors import OptionError
from faster_rcnn.ops.eight_bit import FULL_WEIGHTS, SAFE_WEIGHTS, weight_limit

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")


@pytest.fixture
def tried() -> Iterator[None]:
    """Nothing is remembered of earlier trials, nor of these ones afterwards."""
    trials = devices._convolves_faster_in_bfloat16, eight_bits_are_fast
    for each in trials:
        each.cache_clear()
    yield
    for each in trials:
        each.cache_clear()


@pytest.mark.usefixtures("tried")
@pytest.mark.parametrize("amx", [False, True])
@pytest.mark.parametrize("onednn", [False, True])
@pytest.mark.parametrize("seconds", [0.5, 2.0])
def test_bfloat16_is_taken_where_instructions_library_and_trial_agree(
    amx: bool, onednn: bool, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(devices, "onednn_takes_bfloat16", lambda: onednn)
    monkeypatch.setattr(devices, "convolution_seconds", lambda kind: seconds if kind == torch.bfloat16 else 1.0)
    fast = amx and onednn and seconds < 1
    assert bfloat16_is_fast(CPU) == fast
    assert choose_precision("auto", CPU) == (torch.bfloat16 if fast else torch.float32)
    assert (choose_precision("float32", CPU), choose_precision("bfloat16", CPU)) == (torch.float32, torch.bfloat16)


@pytest.mark.usefixtures("tried")
def test_a_trial_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.dtype] = []

    def take(kind: torch.dtype) -> float:
        asked.append(kind)
        return 1.0

    monkeypatch.setattr(devices, "convolution_seconds", take)
    assert [devices._convolves_faster_in_bfloat16() for _ in range(3)] == [False] * 3
    assert asked == [torch.bfloat16, torch.float32]


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16, torch.int8])
def test_a_trial_takes_the_shortest_of_its_tries(precision: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    if precision == torch.int8 and weight_limit() == 0:
        pytest.skip("oneDNN lacks operations in 8 bits here")
    # Five tries, of 3, 2, 4, 5 and 3 seconds.
    clock = iter([0.0, 3.0, 10.0, 12.0, 20.0, 24.0, 30.0, 35.0, 40.0, 43.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    assert convolution_seconds(precision) == 2.0
    assert next(clock, None) is None


@pytest.mark.usefixtures("tried")
def test_in_tests_instructions_alone_choose_the_precision() -> None:
    has_bfloat16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    assert bfloat16_is_fast(CPU) == (has_bfloat16 and devices.onednn_takes_bfloat16())
    assert eight_bits_are_fast() == (weight_limit() > 0)


@pytest.mark.usefixtures("tried")
@pytest.mark.parametrize("limit", [0, SAFE_WEIGHTS, FULL_WEIGHTS])
@pytest.mark.parametrize("floats", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.0])
def test_8_bits_are_taken_where_they_are_there_and_faster_than_the_floats_of_auto(
    limit: int, floats: torch.dtype, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {torch.int8: seconds, floats: 1.0}  # the other type of floats is not asked for
    monkeypatch.setattr(devices, "weight_limit", lambda: limit)
    monkeypatch.setattr(devices, "bfloat16_is_fast", lambda device: floats == torch.bfloat16)
    monkeypatch.setattr(devices, "convolution_seconds", times.__getitem__)
    assert eight_bits_are_fast() == (limit > 0 and seconds < 1)


@pytest.mark.usefixtures("tried")
def test_8_bits_are_tried_once_and_never_where_they_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.dtype] = []

    def take(kind: torch.dtype) -> float:
        asked.append(kind)
        return 1.0 if kind == torch.int8 else 2.0

    monkeypatch.setattr(devices, "bfloat16_is_fast", lambda device: False)
    monkeypatch.setattr(devices, "convolution_seconds", take)
    monkeypatch.setattr(devices, "weight_limit", lambda: 0)
    assert not eight_bits_are_fast()
    assert asked == []
    eight_bits_are_fast.cache_clear()
    monkeypatch.setattr(devices, "weight_limit", lambda: SAFE_WEIGHTS)
    assert [eight_bits_are_fast() for _ in range(3)] == [True] * 3
    assert asked == [torch.int8, torch.float32]


@pytest.mark.parametrize("fast", [False, True])
def test_what_is_not_in_8_bits_is_in_the_floats_of_auto(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "bfloat16_is_fast", lambda device: fast)
    assert choose_precision("int8", CPU) == torch.int8
    assert type_of_floats(torch.int8, CPU) == (torch.bfloat16 if fast else torch.float32)
    for precision in (torch.float32, torch.bfloat16):
        assert type_of_floats(precision, CPU) == type_of_floats(precision, GPU) == precision


def test_devices_that_are_not_there_are_refused() -> None:
    assert choose_device("cpu") == CPU
    with pytest.raises(OptionError, match="E126 --device tpu is not a device"):
        choose_device("tpu")
    with pytest.raises(OptionError, match="E126 --device cuda:99: this machine has"):
        choose_device("cuda:99")
