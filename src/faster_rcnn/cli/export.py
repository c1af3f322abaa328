"""The command ``faster-rcnn export``."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.cli.options import announce_work
from faster_rcnn.cli.outputs import model_file, require_file
from faster_rcnn.errors import OptionError
from faster_rcnn.system.console import say


def export(model: str, /, *, out: Path, layout: str | None = None) -> int:
    """Write a checkpoint that torchvision's own detectors load, and print the call that builds the detector.

    Args:
        model: Model file, run folder or published name.
        out: File to write: .pth for torch.load, or .safetensors.
        layout: Detector that is to load it, such as torchvision:fasterrcnn_resnet50_fpn; by default the one that fits.
    """
    announce_work(f"exporting {model}")
    from faster_rcnn.weights.foreign.torchvision_checkpoint import plan_export
    from faster_rcnn.weights.foreign.torchvision_export import SAFETENSORS, TORCH, meaning_of_labels, write_checkpoint
    from faster_rcnn.weights.resolve import resolve_model

    if out.suffix not in (*TORCH, SAFETENSORS):
        raise OptionError(f"--out {out} must end in {', '.join(TORCH)} or {SAFETENSORS}", code="E125")
    require_file("--out", out, [model_file(model)])
    loaded = resolve_model(model)
    plan = plan_export(model, loaded.config, layout)
    write_checkpoint(loaded, plan.layout, out)
    say(f"wrote {out} as {plan.layout}, read it back and found it equal. It is loaded by")
    say(*plan.calls(len(loaded.classes) + 1, out))
    say(meaning_of_labels(loaded.classes))
    return 0
