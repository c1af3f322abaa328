"""The command ``faster-rcnn quantize``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from faster_rcnn.cli.options import Integer, JsonOut, announce_work
from faster_rcnn.cli.order import refuse_swapped
from faster_rcnn.cli.outputs import deliver_numbers, model_file, refuse_same_file, require_file, require_json
from faster_rcnn.errors import MachineError, OptionError
from faster_rcnn.system.console import say, warn

if TYPE_CHECKING:
    from faster_rcnn.benchmark.quantization import Gain
    from faster_rcnn.settings.schema import Config


def quantize(
    model: str,
    data: Path,
    /,
    *,
    out: Path,
    count: Integer = 32,
    split: str | None = None,
    device: str = "auto",
    json: JsonOut = None,
) -> int:
    """Quantize a detector to int8 for CPUs: measure its activation ranges, and what int8 gains and costs.

    Args:
        model: Model file, run folder or published name.
        data: Folder or file of labelled images like those that the detector was trained on.
        out: Model file to write, with the same weights and the activation ranges.
        count: Training images on which the activation ranges are measured.
        split: Split of the data on which int8 is judged; by default test where there is one, else val.
        device: Device that computes: auto or cpu, since int8 is for CPUs.
        json: File for the numbers; - for standard output.
    """
    announce_work(f"calibrating {model} on {data}")
    from faster_rcnn.benchmark.quantization import measure_gain
    from faster_rcnn.evaluation.detector import splits_to_calibrate
    from faster_rcnn.inference.calibration import calibrate_on_files
    from faster_rcnn.weights.model_file import write_loaded
    from faster_rcnn.weights.resolve import resolve_model

    refuse_swapped("quantize", model, [data])
    _refuse_other_device(device)
    require_json(json, [model_file(model), data])
    require_file("--out", out, [model_file(model), data])
    refuse_same_file({"--json": json, "--out": out})
    _refuse_count(count)
    _refuse_without_int8()
    loaded = resolve_model(model)
    _refuse_other_kinds(model, loaded.config)
    part, train = splits_to_calibrate(data, loaded.config.data, split)
    ranges, images = calibrate_on_files(loaded, [each.path for each in train.records], count)
    quantized = replace(loaded, ranges=ranges)
    write_loaded(out, quantized)
    say(f"wrote {out}: the detector of {model} with activation ranges from {images} images of train")
    gain = measure_gain(quantized, part, model)
    _say_gain(gain, out, model)
    deliver_numbers(gain.to_json(), json)
    return 0


def _refuse_other_device(device: str) -> None:
    from faster_rcnn.system.devices import choose_device

    if device != "auto" and choose_device(device).type != "cpu":
        raise OptionError(f"--device {device}: int8 is for CPUs, and is measured on one; leave the option out")


def _refuse_count(count: int) -> None:
    from faster_rcnn.inference.limits import refuse_below_one

    refuse_below_one("--count", count, "activation ranges need at least one image")


def _refuse_without_int8() -> None:
    from faster_rcnn.kernels.int8_layers import weight_limit

    if weight_limit() == 0:
        raise MachineError("this PyTorch, or this processor, has no int8 convolutions")


def _refuse_other_kinds(model: str, config: Config) -> None:
    if config.detector.kind == "fast-rcnn":
        raise OptionError(f"{model} is a Fast R-CNN: its time goes into selective search, which int8 does not change")


def _say_gain(gain: Gain, out: Path, model: str) -> None:
    """Print what int8 gains, and how the file is used, or a warning that it is better not used."""
    say(str(gain))
    reasons = gain.objections()
    if reasons:
        warn(f"{out} is not recommended: {' and '.join(reasons)}. Keep {model}")
    else:
        say(f"{out} computes in int8 on CPUs where that is faster: faster-rcnn predict {out} IMAGES")
