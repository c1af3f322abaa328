"""The command ``faster-rcnn train``."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.cli.options import Switch, announce_work
from faster_rcnn.errors import ElsewhereError, FasterRCNNError, OptionError
from faster_rcnn.settings.train_options import TrainOptions
from faster_rcnn.system.console import say, show


def train(
    data: Path, /, *, options: TrainOptions | None = None, preview: Switch = False, dry_run: Switch = False
) -> int:
    """Train a detector on labelled images, and keep the best one.

    Args:
        data: Folder or file of labelled images: COCO JSON, VOC, YOLO or CSV, recognised by looking.
        options: How it is trained.
        preview: Draw the first images as they are augmented, with their boxes, into preview.png, and train nothing.
        dry_run: Try two steps with validation, saving and an export in a temporary folder, and keep nothing.
    """
    if preview and dry_run:
        raise OptionError("--preview and --dry-run both train nothing; give one of them", code="E125")
    announce_work(f"training on {data}")
    if dry_run:
        from faster_rcnn.dry_run import dry_run as try_run

        show(try_run(data, options or TrainOptions()).table)
        say("the dry run is done: all parts work, and nothing was kept")
        return 0
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
