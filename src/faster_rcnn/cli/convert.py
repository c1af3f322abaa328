"""The command ``faster-rcnn convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from faster_rcnn.cli.options import Settings, announce
from faster_rcnn.cli.outputs import require_folder
from faster_rcnn.system.console import say, warn
from faster_rcnn.system.wording import count_of


def convert(
    data: Path,
    /,
    *,
    to: Literal["coco", "voc", "yolo", "csv"],
    out: Path,
    settings: Settings = None,
) -> int:
    """Write labelled images in another format, with all splits, into a new folder; the data are not changed.

    Args:
        data: Folder or file of labelled images.
        to: Format to write.
        out: New folder for the annotations and copies of the images.
        settings: Settings of the data as section.key=value, such as data.voc_offset=0; several may follow.
    """
    announce(f"converting {data} to {to}")
    from faster_rcnn.data.converting import WRITERS, refuse_target
    from faster_rcnn.data.converting import convert as converted
    from faster_rcnn.data.reading import load_present
    from faster_rcnn.settings.resolve import resolve_config

    require_folder("--out", out)
    refuse_target(out, data)
    config = resolve_config(None, None, settings or (), {})
    dataset = load_present(data, config.data)
    for warning in dataset.warnings:
        warn(warning)
    for split in dataset.splits.values():
        for note in split.notes:
            say(note)
    done = converted(dataset, WRITERS[to], out)
    for note in done.notes:
        warn(note)
    parts = [
        f"{split} {count_of(images, 'image')} and {count_of(done.boxes[split], 'box', 'boxes')}"
        for split, images in done.images.items()
    ]
    say(f"{WRITERS[to].title} in {out}: {', '.join(parts)}")
    return 0
