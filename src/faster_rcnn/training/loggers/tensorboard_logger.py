"""TensorBoard: event files in the run folder; with the folder of all runs it shows them beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import yaml
from PIL import Image

from faster_rcnn.errors import MissingExtraError
from faster_rcnn.training.callback import RunEnd, RunStart
from faster_rcnn.training.loggers.logger import Logger

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
"""Name of the folder of event files in a run folder."""


class TensorBoardLogger(Logger):
    """Writes a run to event files of TensorBoard."""

    title = "TensorBoard"

    def __init__(self) -> None:
        """Raises ``MissingExtraError`` without the package tensorboard."""
        super().__init__()
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("tensorboard", "log") from error
        self._open = SummaryWriter
        self._writer: SummaryWriter | None = None

    def begin(self, event: RunStart) -> None:
        """Open an event file; of a run that goes on, TensorBoard drops the steps that are made again."""
        again = event.step + 1 if event.step else None
        self._writer = self._open(str(event.folder / FOLDER), purge_step=again)
        settings = yaml.safe_dump(event.config.model_dump(mode="json"), sort_keys=False)
        self._writer.add_text("settings", f"```\n{settings}```", event.step)

    def log_numbers(self, values: Mapping[str, float], step: int) -> None:
        """Write a point of each curve."""
        assert self._writer is not None
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def log_pictures(self, pictures: Mapping[str, Image.Image], step: int) -> None:
        """Write the pictures."""
        assert self._writer is not None
        for name, picture in pictures.items():
            self._writer.add_image(name, np.asarray(picture.convert("RGB")), step, dataformats="HWC")

    def finish(self, event: RunEnd) -> None:
        """Close the event file; the files of the run are beside it."""
        assert self._writer is not None
        self._writer.close()
