"""The loggers that ``--log`` names; the package of each is imported only then."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from faster_rcnn.errors import OptionError
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
    names = dict.fromkeys(each.strip() for each in given.split(","))
    unknown = [name for name in names if name not in LOGGERS]
    if unknown:
        raise OptionError(
            f"--log {given}: there is no logger '{unknown[0]}'; loggers are {', '.join(LOGGERS)}", code="E125"
        )
    return tuple(LOGGERS[name]() for name in names)
