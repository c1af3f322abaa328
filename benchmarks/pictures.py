"""Options of the scripts that run a trained detector on image files."""

from __future__ import annotations

import argparse
from pathlib import Path

from faster_rcnn.inference.sources import find_images


def parser_for(description: str | None, count: int) -> argparse.ArgumentParser:
    """A parser with the options of a detector, its images, their maximum number, and rounds."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="run folder, model file or published name")
    parser.add_argument("--images", required=True, nargs="+", help="files, folders or patterns")
    parser.add_argument("--count", type=int, default=count, help="how many of the images at most")
    parser.add_argument("--rounds", type=int, default=5)
    return parser


def paths_of(parser: argparse.ArgumentParser, options: argparse.Namespace) -> list[Path]:
    """The paths of the images; the script ends where there are none."""
    paths = [Path(name) for name in find_images(options.images).names[: options.count]]
    if not paths:
        parser.error(f"--images {' '.join(options.images)}: there are no images")
    return paths
