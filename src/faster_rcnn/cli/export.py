"""The command ``faster-rcnn export``: its options."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.cli.options import announce


def export(model: str, /, *, out: Path, layout: str | None = None) -> int:
    """Write a checkpoint that torchvision's own detectors load, and print the call that builds the detector.

    Args:
        model: Model file, run folder or published name.
        out: File to write: .pth for torch.load, or .safetensors.
        layout: Such as torchvision:fasterrcnn_resnet50_fpn; the one that fits where not given.
    """
    announce(f"exporting {model}")
    from faster_rcnn.cli.bodies import export as job

    return job.run(model, layout=layout, out=out)
