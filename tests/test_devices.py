"""What is chosen by what the machine has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from faster_rcnn import devices
from faster_rcnn.devices import bfloat16_is_fast, choose_device, choose_precision, convolution_seconds
from faster_rcnn.errors import OptionError

CPU = torch.device("cpu")


@pytest.fixture
def tried() -> Iterator[None]:
    """Nothing is remembered of earlier trials, nor of these ones afterwards."""
    devices._convolves_faster_in_bfloat16.cache_clear()
    yield
    devices._convolves_faster_in_bfloat16.cache_clear()


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


def test_a_convolution_takes_time() -> None:
    assert 0 < convolution_seconds(torch.float32) < 10


def test_devices_that_are_not_there_are_refused() -> None:
    assert choose_device("cpu") == CPU
    with pytest.raises(OptionError, match="E126 --device tpu is not a device"):
        choose_device("tpu")
    with pytest.raises(OptionError, match="E126 --device cuda:99: this machine has"):
        choose_device("cuda:99")
