"""The command ``faster-rcnn config``: its options."""

from __future__ import annotations


def config(*, model: str = "small") -> int:
    """Print the whole configuration as YAML, each field with its unit and source; --config reads it back.

    Args:
        model: Preset, model file, run folder or published name.
    """
    from faster_rcnn.cli.bodies import config as job

    return job.run(model)
