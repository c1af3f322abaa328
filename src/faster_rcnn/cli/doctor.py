"""The command ``faster-rcnn doctor``: its options."""

from __future__ import annotations

from faster_rcnn.cli.options import announce


def doctor() -> int:
    """Look at this machine: versions, devices, instruction sets, and a self-test of a few seconds."""
    announce("looking at this machine")
    from faster_rcnn.cli.bodies import doctor as job

    return job.run()
