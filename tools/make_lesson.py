"""Make the pictures of docs/lesson.md: ``python tools/make_lesson.py`` runs the program of that page on the demo.

The pictures are part of the repository, as nobody waits minutes for a build of the documentation.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from documentation.lesson import run_program, store_pictures

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "lesson.md"


def main() -> int:
    """Make the pictures as the command line asks; returns the exit code."""
    parser = argparse.ArgumentParser(description="Make the pictures of the lesson.")
    parser.add_argument("--demo", type=Path, help="folder of a finished demo; without it the demo runs, for minutes")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "lesson", help="folder for the pictures")
    options = parser.parse_args()
    out: Path = options.out.resolve()
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "runs").mkdir()
        if options.demo is not None:
            (folder / "runs" / "demo").symlink_to(options.demo.resolve())
        else:
            subprocess.run([sys.executable, "-m", "faster_rcnn", "demo", "--out", "runs/demo"], cwd=folder, check=True)
        run_program(PAGE, folder)
        for path in store_pictures(folder / "lesson", out):
            print(f"{path}: {path.stat().st_size // 1000} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
