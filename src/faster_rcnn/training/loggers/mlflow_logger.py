"""MLflow: a run on the server that ``MLFLOW_TRACKING_URI`` names, or in MLflow's own files."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from PIL import Image

from faster_rcnn.errors import MissingExtraError
from faster_rcnn.settings.schema import Config
from faster_rcnn.training.callback import RunEnd, RunStart
from faster_rcnn.training.loggers.logger import Logger, files_of, known_run, remember_run

SERVICE = "mlflow"
EXPERIMENT = "faster-rcnn"
"""Experiment of the runs, unless ``MLFLOW_EXPERIMENT_NAME`` names another one."""
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
MAX_RETRIES = "2"
"""MLflow itself tries eight times, in which a training would wait for minutes before its first step."""
MAX_PARAMS = 100
"""Most parameters that MLflow takes in one request."""
PICTURES, FILES = "pictures", "run"
"""Folders of a run's artifacts."""


class MlflowLogger(Logger):
    """Sends a run to MLflow, by a client of its own: a program's active run is left alone."""

    title = "MLflow"

    def __init__(self) -> None:
        """Raises ``MissingExtraError`` without the package mlflow."""
        super().__init__()
        try:
            import mlflow
            from mlflow.entities import Metric, Param
        except ImportError as error:
            raise MissingExtraError("mlflow", "log") from error
        self._open = mlflow.MlflowClient
        self._metric, self._param = Metric, Param
        self._client: mlflow.MlflowClient | None = None
        self._run = ""

    def begin(self, event: RunStart) -> None:
        """Create a run with all settings as parameters, or go on with the one of this run folder."""
        with _few_retries():
            self._client = client = self._open()
            known = known_run(event.folder, SERVICE)
            if known is not None:
                self._run = known
                client.update_run(known, status="RUNNING")
                return
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
            found = client.get_experiment_by_name(name)
            experiment = client.create_experiment(name) if found is None else found.experiment_id
            self._run = client.create_run(experiment, run_name=event.folder.name).info.run_id
            remember_run(event.folder, SERVICE, self._run)
            params = [self._param(name, str(value)) for name, value in _flat(event.config)]
            for start in range(0, len(params), MAX_PARAMS):
                client.log_batch(self._run, params=params[start : start + MAX_PARAMS])

    def log_numbers(self, values: Mapping[str, float], step: int) -> None:
        """Send a point of each curve, in one request."""
        now = int(1000 * time.time())
        metrics = [self._metric(name, value, now, step) for name, value in values.items()]
        assert self._client is not None
        with _few_retries():
            self._client.log_batch(self._run, metrics=metrics)

    def log_pictures(self, pictures: Mapping[str, Image.Image], step: int) -> None:
        """Send the pictures as artifacts."""
        assert self._client is not None
        with _few_retries():
            for number, picture in enumerate(pictures.values(), start=1):
                self._client.log_image(self._run, picture, f"{PICTURES}/{number:02}.png")

    def finish(self, event: RunEnd) -> None:
        """Send the files of the run as artifacts, and set the run's status."""
        assert self._client is not None
        with _few_retries():
            for path in files_of(event.folder):
                self._client.log_artifact(self._run, str(path), FILES)
            interrupted = isinstance(event.error, KeyboardInterrupt)
            status = "FINISHED" if event.error is None else "KILLED" if interrupted else "FAILED"
            self._client.set_terminated(self._run, status)


def _flat(config: Config) -> Iterator[tuple[str, object]]:
    """Every setting, as ``section.key``."""
    for section, values in config.model_dump(mode="json").items():
        if isinstance(values, dict):
            yield from ((f"{section}.{key}", value) for key, value in values.items())
        else:
            yield section, values


@contextmanager
def _few_retries() -> Iterator[None]:
    """Inside ``with``: a server that cannot be reached is given up soon, unless the variable has a value."""
    given = RETRIES in os.environ
    os.environ.setdefault(RETRIES, MAX_RETRIES)
    try:
        yield
    finally:
        if not given:
            del os.environ[RETRIES]
