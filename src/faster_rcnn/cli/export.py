"""The command ``faster-rcnn export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from faster_rcnn.cli.options import announce_work
from faster_rcnn.cli.outputs import model_file, require_file
from faster_rcnn.errors import OptionError
from faster_rcnn.system.console import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


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
    images: Annotated[list[str] | None, Parameter(consume_multiple=1, negative="")] = None,
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
        images: Image files, folders or patterns, of which four are compared beside made-up ones.
        verify: Exported file that is compared with the model; nothing is written.
        layout: Detector of torchvision that is to load its checkpoint, such as torchvision:fasterrcnn_resnet50_fpn; by
            default the one that fits.
    """
    if verify is not None:
        return _verify(model, verify, images, out)
    if out is None:
        raise OptionError("export needs --out FILE to write, or --verify FILE to compare", code="E125")
    announce_work(f"exporting {model}")
    from faster_rcnn.export.request import facts_of, format_of, refuse_unexportable

    kind = format_of(format, out)
    if kind == TORCHVISION:
        given = batch, size, nms, preprocess, images
        _refuse_for_checkpoint(given != ("dynamic", "dynamic", "in-graph", "in-graph", None))
        return _write_checkpoint(model, out, layout)
    from faster_rcnn.benchmark.loading import load_or_build
    from faster_rcnn.export.files import require_packages
    from faster_rcnn.export.run import export_verified

    if layout is not None:
        raise OptionError(f"--layout {layout} is for --format torchvision; leave it out", code="E125")
    require_file("--out", out, [model_file(model)])
    require_packages(kind)
    pixels = _pixels(images)
    loaded = load_or_build(model)
    refuse_unexportable(model, loaded.config)
    facts = facts_of(kind, batch, size, nms, preprocess, loaded.config)
    say(f"wrote {out}, which finds what {model} finds: {export_verified(loaded, facts, out, pixels)}")
    return 0


def _verify(model: str, file: Path, images: Sequence[str] | None, out: Path | None) -> int:
    """Compare an exported file with its detector."""
    if out is not None:
        raise OptionError(f"--verify {file} writes nothing; leave --out {out} out", code="E125")
    announce_work(f"verifying {file}")
    from faster_rcnn.benchmark.loading import load_or_build
    from faster_rcnn.export.run import verify
    from faster_rcnn.weights.exported import ENDINGS, is_exported

    if not is_exported(file):
        raise OptionError(f"--verify {file}: an exported file ends in {', '.join(ENDINGS)}", code="E125")
    say(f"{file} finds what {model} finds: {verify(load_or_build(model), file, _pixels(images))}")
    return 0


def _pixels(sources: Sequence[str] | None) -> list[Tensor]:
    """Four of the images, decoded."""
    from faster_rcnn.benchmark.loading import images_to_time
    from faster_rcnn.export.verification import GIVEN
    from faster_rcnn.inference.inputs import to_pixels
    from faster_rcnn.settings.schema import DataConfig

    paths = images_to_time(sources, GIVEN) if sources else []
    return [to_pixels(path, str(path), DataConfig().max_pixels) for path in paths]


def _refuse_for_checkpoint(has_others: bool) -> None:
    if has_others:
        raise OptionError(
            "a checkpoint of torchvision holds weights alone: --batch, --size, --nms, --preprocess and "
            "--images are for --format onnx, openvino and pt2",
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
