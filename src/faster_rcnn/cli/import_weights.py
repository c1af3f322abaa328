"""The command ``faster-rcnn import``."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.cli.options import Settings, announce_work
from faster_rcnn.cli.outputs import require_file
from faster_rcnn.system.console import say


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
    """Convert a checkpoint of torchvision's or Detectron2's detectors into a model file.

    Args:
        file: Checkpoint: a state dict or a file that contains one, as .pth, .ckpt, .safetensors or Detectron2's .pkl.
        layout: Detector that wrote the file, such as torchvision:fasterrcnn_resnet50_fpn or
            detectron2:faster_rcnn_R_50_FPN_3x.
        out: Model file to write.
        classes: Class names as a,b,c, or a file with one name a line; COCO's where the size fits.
        settings: Settings that the weights do not hold, such as rpn.anchor_sizes, as section.key=value.
        key: Name of the weights to read where the file has several sets, such as model_ema.
    """
    announce_work(f"importing {file}")
    from faster_rcnn.weights.foreign.checkpoint_import import import_checkpoint
    from faster_rcnn.weights.verification import save_verified

    require_file("--out", out, [file])
    imported = import_checkpoint(file, layout=layout, classes=classes, settings=settings or (), key=key)
    save_verified(out, imported)
    holes = len(imported.classes.holes)
    known = len(imported.classes) - holes
    unused = f" ({holes} more outputs have no class and are never reported)" if holes else ""
    counted = "1 class" if known == 1 else f"{known} classes"
    say(f"imported {file} as {layout} (from preset {imported.config.preset}): {counted}{unused}")
    say(f"wrote {out}, read it back and found it equal")
    return 0
