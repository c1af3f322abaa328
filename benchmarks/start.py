"""Time of `faster-rcnn --help`, against importing torch, which it must not do."""

from __future__ import annotations

import subprocess
import sys

from timing import compare


def main() -> None:
    def ours() -> None:
        subprocess.run([sys.executable, "-m", "faster_rcnn", "--help"], check=True, stdout=subprocess.DEVNULL)

    def peer() -> None:
        subprocess.run([sys.executable, "-c", "import torch"], check=True)

    compare("--help against import torch", ours, peer, rounds=7)


if __name__ == "__main__":
    main()
