"""Which optimized model computes in a precision: a fused or a quantized one; and why there may be none."""

from __future__ import annotations

import torch

from faster_rcnn.acceleration.fusion import fused_model
from faster_rcnn.acceleration.quantization import quantized_model
from faster_rcnn.errors import MachineError, ModelFileError, OptionError
from faster_rcnn.kernels.int8_layers import weight_limit
from faster_rcnn.model import FasterRCNN
from faster_rcnn.system.devices import choose_precision, int8_is_fast
from faster_rcnn.weights.model_file import LoadedModel


def precision_for(loaded: LoadedModel, name: str, device: torch.device) -> torch.dtype:
    """Do what ``choose_precision`` does; but ``auto`` is int8 for a quantized detector if a CPU is faster in it."""
    quantized = loaded.ranges is not None and device.type == "cpu"
    return torch.int8 if name == "auto" and quantized and int8_is_fast() else choose_precision(name, device)


def accelerated_model(prepared: FasterRCNN, precision: torch.dtype, loaded: LoadedModel) -> FasterRCNN:
    """The fused model of a prepared detector, or its quantized model for int8; all layers are in inference mode.

    Raises ``ModelFileError`` (E123) where activation ranges are missing.
    """
    if precision != torch.int8:
        return fused_model(prepared).eval()
    assert loaded.ranges is not None
    try:
        return quantized_model(prepared, loaded.ranges).eval()
    except KeyError as error:
        raise ModelFileError(
            f"precision int8: layer {error} has no activation range, so the ranges in this file belong to another "
            "network, or to another version of its parts; calibrate again: faster-rcnn quantize MODEL DATA --out FILE",
            code="E123",
        ) from error


def refuse_int8(loaded: LoadedModel, device: torch.device, compile: bool) -> None:
    """Raise where a detector cannot compute in int8: an ``OptionError``, ``ModelFileError`` or ``MachineError``."""
    if device.type != "cpu":
        raise OptionError(f"precision int8 is for CPUs, and this is on {device}; bfloat16 works", code="E126")
    if compile:
        raise OptionError("compile=True: a detector in int8 is not compiled; leave out one of both", code="E125")
    if loaded.ranges is None:
        raise ModelFileError(
            "precision int8: this model was not quantized: it has no activation ranges; calibrate them on some of its "
            "images: faster-rcnn quantize MODEL DATA --out FILE",
            code="E123",
        )
    if weight_limit() == 0:
        raise MachineError("precision int8: this PyTorch, or this processor, has no int8 convolutions")
