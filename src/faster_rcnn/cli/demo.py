"""The command ``faster-rcnn demo``: its options."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.cli.options import announce


def demo(*, out: Path | None = None, device: str = "auto") -> int:
    """Train, evaluate and predict on built-in pictures of handwritten digits, in a few minutes.

    Args:
        out: Folder for the run and its pictures.
        device: Device that computes: auto, cpu, cuda or cuda:N.
    """
    announce("the demo: handwritten digits, found in pictures")
    from faster_rcnn.cli.bodies import demo as job

    return job.run(out, device)
