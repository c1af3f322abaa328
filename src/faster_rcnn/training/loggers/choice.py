"""The loggers that ``--log`` names; the package of each is imported only then."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from faster_rcnn.inference.limits import names_in
from faster_rcnn.training.loggers.logger import Logger
from faster_rcnn.training.loggers.mlflow_logger import MlflowLogger
from faster_rcnn.training.loggers.tensorboard_logger import TensorBoardLogger
from faster_rcnn.training.loggers.wandb_logger import WandbLogger

LOGGERS: Mapping[str, Callable[[], Logger]] = {
    "tensorboard": TensorBoardLogger,
    "mlflow": MlflowLogger,
    "wandb": WandbLogger,
}
"""Loggers by their names on the command line."""


def loggers_of(given: str | None) -> tuple[Logger, ...]:
    """The loggers of ``--log tensorboard,mlflow``.

    Raises:
        OptionError: a name is unknown (E125).
        MissingExtraError: the package of a logger is not installed.
    """
    if given is None:
        return ()
    return tuple(LOGGERS[name]() for name in names_in("--log", given, LOGGERS, "logger"))
