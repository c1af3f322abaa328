"""The command ``faster-rcnn import``: its options."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.cli.options import Settings, announce


def import_weights(
    file: Path,
    /,
    *,
    layout: str,
    out: Path,
    classes: str | None = None,
    settings: Settings = None,
    key: str | None = None,
) -> int:
    """Make a model file of a checkpoint that torchvision's or Detectron2's detectors wrote.

    Args:
        file: The checkpoint: a state dict or what holds one, as .pth, .ckpt or .safetensors, or Detectron2's .pkl.
        layout: What wrote it, such as torchvision:fasterrcnn_resnet50_fpn or detectron2:faster_rcnn_R_50_FPN_3x.
        out: Model file to write.
        classes: Names as a,b,c, or a file with one a line; COCO's where the size fits.
        settings: Settings that the weights do not hold, such as rpn.anchor_sizes, as section.key=value.
        key: Which weights, where the file has several sets, such as model_ema.
    """
    announce(f"importing {file}")
    from faster_rcnn.cli.bodies import import_weights as job

    return job.run(file, layout=layout, classes=classes, out=out, settings=settings or (), key=key)
