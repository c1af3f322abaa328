"""Weights & Biases: a run on its server, or one in the run folder that ``wandb sync`` sends later."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from PIL import Image

from faster_rcnn.errors import MissingExtraError
from faster_rcnn.training.callback import RunEnd, RunStart
from faster_rcnn.training.loggers.logger import Logger, files_of, known_run, remember_run

_LOG = logging.getLogger(__name__)

SERVICE = "wandb"
PROJECT = "faster-rcnn"
"""Project of the runs, unless ``WANDB_PROJECT`` names another one."""


class WandbLogger(Logger):
    """Sends a run to Weights & Biases; without a key, and with ``WANDB_MODE=offline``, it stays in the run folder."""

    title = "Weights & Biases"

    def __init__(self) -> None:
        """Raises ``MissingExtraError`` without the package wandb."""
        super().__init__()
        try:
            import wandb
        except ImportError as error:
            raise MissingExtraError("wandb", "log") from error
        self._wandb = wandb
        self._run: Any = None

    def begin(self, event: RunStart) -> None:
        """Begin a run with all settings, or go on with the one of this run folder."""
        settings = self._wandb.Settings(silent=True)
        mode = os.environ.get("WANDB_MODE") or self._mode(event)
        self._run = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=event.folder.name,
            id=known_run(event.folder, SERVICE),
            resume="allow" if mode == "online" else None,
            dir=event.folder,
            config=event.config.model_dump(mode="json"),
            mode=mode,  # type: ignore[arg-type]  # a value of the environment, which wandb checks
            reinit="create_new",
            settings=settings,
        )
        remember_run(event.folder, SERVICE, self._run.id)

    def _mode(self, event: RunStart) -> str:
        """Whether runs are sent: only with a key, for which wandb would ask at the terminal otherwise."""
        if self._wandb.login(prompt=False):
            return "online"
        _LOG.info(
            f"{self.title}: there is no key (wandb login), so the run stays in {event.folder / 'wandb'}; wandb sync "
            "sends it"
        )
        return "offline"

    def log_numbers(self, values: Mapping[str, float], step: int) -> None:
        """Send a point of each curve."""
        self._run.log(dict(values), step=step)

    def log_pictures(self, pictures: Mapping[str, Image.Image], step: int) -> None:
        """Send the pictures in one panel."""
        images = [self._wandb.Image(picture, caption=name) for name, picture in pictures.items()]
        self._run.log({"pictures": images}, step=step)

    def finish(self, event: RunEnd) -> None:
        """Send the files of the run as an artifact, and end it."""
        artifact = self._wandb.Artifact(f"run-{self._run.id}", type="run")
        for path in files_of(event.folder):
            artifact.add_file(str(path))
        self._run.log_artifact(artifact)
        self._run.finish(exit_code=0 if event.error is None else 1)
