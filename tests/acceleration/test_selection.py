"""Which optimized model computes in a precision, and the errors where there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from faster_rcnn.acceleration import selection
from faster_rcnn.acceleration.folding import prepare_for_inference
from faster_rcnn.acceleration.selection import accelerated_model, precision_for, refuse_int8
from faster_rcnn.errors import MachineError, ModelFileError, OptionError
from faster_rcnn.kernels.fused_layers import OPERATIONS, fused_works
from faster_rcnn.kernels.int8_layers import Int8Conv2d, Range, weight_limit
from faster_rcnn.kernels.onednn_layers import FusedConv2d
from faster_rcnn.weights.model_file import LoadedModel
from files import loaded_model, quantized

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
needs_fused = pytest.mark.skipif(
    not all(fused_works(each, torch.float32) for each in OPERATIONS), reason="oneDNN lacks fused operations here"
)
needs_int8 = pytest.mark.skipif(weight_limit() == 0, reason="oneDNN has no int8 convolutions here")


def with_ranges() -> LoadedModel:
    return replace(loaded_model(), ranges={"body.fused_0": Range(-1.0, 1.0)})


@pytest.mark.parametrize("fast", [False, True])
def test_auto_is_int8_for_a_quantized_detector_if_the_cpu_is_faster_in_it(
    fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "int8_is_fast", lambda: fast)
    monkeypatch.setattr(selection, "choose_precision", lambda name, device: torch.float32)
    assert precision_for(with_ranges(), "auto", CPU) == (torch.int8 if fast else torch.float32)
    assert precision_for(with_ranges(), "auto", GPU) == torch.float32
    assert precision_for(loaded_model(), "auto", CPU) == torch.float32
    assert precision_for(with_ranges(), "float32", CPU) == torch.float32


@needs_fused
def test_a_detector_in_floats_is_fused() -> None:
    loaded = loaded_model()
    network = prepare_for_inference(loaded.model, torch.float32, exact=False)
    model = accelerated_model(network, torch.float32, loaded)
    assert any(isinstance(each, FusedConv2d) for each in model.modules())


@needs_int8
def test_a_detector_in_int8_is_quantized_and_a_missing_range_names_its_layer() -> None:
    loaded = quantized(loaded_model())
    network = prepare_for_inference(loaded.model, torch.float32, exact=False)
    model = accelerated_model(network, torch.int8, loaded)
    assert any(isinstance(each, Int8Conv2d) for each in model.modules())
    with pytest.raises(ModelFileError, match=r"^E123 precision int8: layer 'fused_\d+' has no activation range"):
        accelerated_model(network, torch.int8, with_ranges())


def test_int8_is_refused_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="E126 precision int8 is for CPUs, and this is on cuda:0"):
        refuse_int8(with_ranges(), GPU, compile=False)
    with pytest.raises(OptionError, match="E125 compile=True: a detector in int8 is not compiled"):
        refuse_int8(with_ranges(), CPU, compile=True)
    with pytest.raises(ModelFileError, match="E123 precision int8: this model was not quantized"):
        refuse_int8(loaded_model(), CPU, compile=False)
    monkeypatch.setattr(selection, "weight_limit", lambda: 0)
    with pytest.raises(MachineError, match="has no int8 convolutions"):
        refuse_int8(with_ranges(), CPU, compile=False)
    monkeypatch.setattr(selection, "weight_limit", lambda: 63)
    refuse_int8(with_ranges(), CPU, compile=False)
