"""Write the splits of a made data set as COCO JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def make_folders(root: Path) -> None:
    """Make the new folder of a data set, with folders for its images and its annotations."""
    (root / "images").mkdir(parents=True)
    (root / "annotations").mkdir()


def write_split(
    root: Path, split: str, images: Sequence[dict[str, Any]], objects: Sequence[dict[str, Any]], names: Sequence[str]
) -> None:
    """Write a split; the objects are numbered from 1 on, and class N of ``names`` has the category id N + 1."""
    content = {
        "images": images,
        "annotations": [{"id": number, **each} for number, each in enumerate(objects, start=1)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, start=1)],
    }
    (root / "annotations" / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")
