"""The command ``faster-rcnn export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from faster_rcnn.cli.export_examples import ExampleOptions
from faster_rcnn.cli.options import announce_work
from faster_rcnn.cli.outputs import model_file, require_file
from faster_rcnn.errors import OptionError
from faster_rcnn.system.console import say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from faster_rcnn.data.records import Split
    from faster_rcnn.weights.exported import ExportFacts
    from faster_rcnn.weights.model_file import LoadedModel

TORCHVISION = "torchvision"


def export(
    model: str,
    /,
    *,
    out: Path | None = None,
    format: Literal["onnx", "openvino", "pt2", "torchvision"] | None = None,
    batch: str = "dynamic",
    size: str = "dynamic",
    nms: Literal["in-graph", "none"] = "in-graph",
    preprocess: Literal["in-graph", "none"] = "in-graph",
    precision: Literal["float32", "bfloat16", "int8"] = "float32",
    images: Annotated[list[str] | None, Parameter(consume_multiple=1, negative="")] = None,
    data: Path | None = None,
    split: str | None = None,
    verify: Path | None = None,
    layout: str | None = None,
) -> int:
    """Write a detector for other runtimes, and compare what the file finds with what the detector finds.

    Args:
        model: Model file, run folder or published name; or a preset, with random weights.
        out: File to write: .onnx, .xml (OpenVINO), .pt2 (torch.export); or torchvision's checkpoint, .pth, .pt or
            .safetensors.
        format: Kind of the file; by default that of its ending.
        batch: Number of images of a call, or dynamic for any number.
        size: Height and width of the images of a call, such as 480x640, or dynamic for any, which OpenVINO and pt2
            hold with --preprocess none alone.
        nms: in-graph gives detections; none gives candidates, for runtimes without NMS.
        preprocess: in-graph takes uint8 images and resizes, normalizes and pads them; with none that is done before.
        precision: Number format of convolutions and matrix products: bfloat16 in OpenVINO and pt2, int8 in OpenVINO.
        images: Image files, folders or patterns: four are compared beside made-up ones, 32 calibrate int8.
        data: Folder or file of labelled images, in place of --images: those of train are used so, and AP of the file
            and of the detector are measured on another split.
        split: Split of these data for AP; by default test where there is one, else val.
        verify: Exported file that is compared with the model; nothing is written.
        layout: Detector of torchvision that is to load its checkpoint, such as torchvision:fasterrcnn_resnet50_fpn; by
            default the one that fits.
    """
    options = {"--batch": batch, "--size": size, "--nms": nms, "--preprocess": preprocess, "--precision": precision}
    given = [name for name, value in options.items() if value not in ("dynamic", "in-graph", "float32")]
    examples = ExampleOptions(images, data, split)
    if verify is not None:
        others = {"--out": out, "--format": format, "--layout": layout}
        _refuse_beside("--verify", verify, [*given, *_named(others)])
        return _verify(model, verify, examples)
    if out is None:
        raise OptionError("export needs --out FILE to write, or --verify FILE to compare", code="E125")
    announce_work(f"exporting {model}")
    from faster_rcnn.export.request import facts_of, format_of

    kind = format_of(format, out)
    if kind == TORCHVISION:
        _refuse_for_checkpoint([*given, *_named({"--images": images, "--data": data, "--split": split})])
        return _write_checkpoint(model, out, layout)
    if layout is not None:
        raise OptionError(f"--layout {layout} is for --format torchvision; leave it out", code="E125")
    return _export_graph(model, out, facts_of(kind, batch, size, nms, preprocess, precision), examples)


def _named(options: Mapping[str, object]) -> list[str]:
    return [name for name, value in options.items() if value is not None]


def _refuse_beside(option: str, value: Path, others: Sequence[str]) -> None:
    if others:
        raise OptionError(
            f"{option} {value} writes nothing, and the file knows how it was made; leave {', '.join(others)} out",
            code="E125",
        )


def _export_graph(model: str, out: Path, facts: ExportFacts, options: ExampleOptions) -> int:
    """Write and verify a file for a runtime, and measure its AP where there are labelled images."""
    from faster_rcnn.benchmark.loading import load_or_build
    from faster_rcnn.export.files import require_packages
    from faster_rcnn.export.request import refuse_unexportable, refuse_vanishing
    from faster_rcnn.export.run import export_verified

    require_file("--out", out, [model_file(model), options.data])
    require_packages(facts.format, facts.precision)
    options.refuse_missing(facts.precision)
    loaded = load_or_build(model)
    refuse_unexportable(model, loaded.config)
    refuse_vanishing(facts, loaded.config)
    examples = options.read(loaded.config.data, facts.precision)
    found = export_verified(loaded, facts, out, examples.pixels)
    say(f"wrote {out}, which finds what {model} finds: {found}")
    _say_accuracy(loaded, out, examples.labelled, model)
    return 0


def _verify(model: str, file: Path, options: ExampleOptions) -> int:
    """Compare an exported file with its detector."""
    announce_work(f"verifying {file}")
    from faster_rcnn.benchmark.loading import load_or_build
    from faster_rcnn.export.run import verify
    from faster_rcnn.weights.exported import ENDINGS, is_exported

    if not is_exported(file):
        raise OptionError(f"--verify {file}: an exported file ends in {', '.join(ENDINGS)}", code="E125")
    loaded = load_or_build(model)
    examples = options.read(loaded.config.data)
    say(f"{file} finds what {model} finds: {verify(loaded, file, examples.pixels)}")
    _say_accuracy(loaded, file, examples.labelled, model)
    return 0


def _say_accuracy(loaded: LoadedModel, file: Path, part: Split | None, model: str) -> None:
    if part is None:
        return
    from faster_rcnn.export.accuracy import accuracy_of
    from faster_rcnn.inference.exported import exported_detector

    say(str(accuracy_of(loaded, exported_detector(file), part, model)))


def _refuse_for_checkpoint(others: Sequence[str]) -> None:
    if others:
        raise OptionError(
            f"a checkpoint of torchvision holds weights alone; leave {', '.join(others)} out, which --format onnx, "
            "openvino and pt2 take",
            code="E125",
        )


def _write_checkpoint(model: str, out: Path, layout: str | None) -> int:
    """Write a checkpoint that torchvision's own detectors load, and print the call that builds the detector."""
    from faster_rcnn.weights.foreign.torchvision_checkpoint import plan_export
    from faster_rcnn.weights.foreign.torchvision_export import SAFETENSORS, TORCH, meaning_of_labels, write_checkpoint
    from faster_rcnn.weights.resolve import resolve_model

    if out.suffix not in (*TORCH, SAFETENSORS):
        raise OptionError(
            f"--out {out} must end in {', '.join(TORCH)} or {SAFETENSORS} for torchvision, or in .onnx, .xml or .pt2",
            code="E125",
        )
    require_file("--out", out, [model_file(model)])
    loaded = resolve_model(model)
    plan = plan_export(model, loaded.config, layout)
    write_checkpoint(loaded, plan.layout, out)
    say(f"wrote {out} as {plan.layout}, read it back and found it equal. It is loaded by")
    say(*plan.calls(len(loaded.classes) + 1, out))
    say(meaning_of_labels(loaded.classes))
    return 0
