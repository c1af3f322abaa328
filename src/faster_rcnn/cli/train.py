"""The command ``faster-rcnn train``."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.cli.options import Switch, announce_work
from faster_rcnn.errors import ElsewhereError, FasterRCNNError
from faster_rcnn.settings.train_options import TrainOptions


def train(data: Path, /, *, options: TrainOptions | None = None, preview: Switch = False) -> int:
    """Train a detector on labelled images, and keep the best one.

    Args:
        data: Folder or file of labelled images: COCO JSON, VOC, YOLO or CSV, recognised by looking.
        options: How it is trained.
        preview: Draw the first images as they are augmented, with their boxes, into preview.png, and train nothing.
    """
    announce_work(f"training on {data}")
    if preview:
        from faster_rcnn.training.preview import write_preview

        write_preview(data, options or TrainOptions())
        return 0
    from faster_rcnn.training.launch import train_or_launch

    try:
        train_or_launch(data, options or TrainOptions())
    except FasterRCNNError as error:
        if isinstance(error.__cause__, ElsewhereError):  # other processes have shown it
            return error.exit_code
        raise
    return 0
