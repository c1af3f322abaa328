from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from faster_rcnn.settings.schema import Config
from faster_rcnn.training.callback import RunStart
from faster_rcnn.training.loggers.mlflow_logger import EXPERIMENT, RETRIES, MlflowLogger
from logged_runs import assert_holds_metrics, trained_with

mlflow = pytest.importorskip("mlflow")


@pytest.fixture
def tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # artifacts lie below the working folder
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")


@pytest.mark.usefixtures("tracking")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of SQLAlchemy, in code of MLflow
def test_a_run_holds_the_metrics_settings_pictures_and_files(tmp_path: Path) -> None:
    run = trained_with("mlflow", tmp_path)
    client = mlflow.MlflowClient()
    [found] = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    curves = {
        name: [(point.step, point.value) for point in client.get_metric_history(found.info.run_id, name)]
        for name in found.data.metrics
    }
    assert_holds_metrics(curves, run)
    assert (found.info.status, found.info.run_name) == ("FINISHED", "run")
    assert found.data.params["training.batch"] == "4"
    files = {each.path for each in client.list_artifacts(found.info.run_id, "run")}
    assert {"run/best.safetensors", "run/metrics.csv", "run/report.html"} <= files
    assert "run/state.pt" not in files
    assert len(client.list_artifacts(found.info.run_id, "pictures")) == 3


def test_a_server_that_is_not_reached_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv(RETRIES, "0")
    with caplog.at_level(logging.WARNING, logger="faster_rcnn"):
        MlflowLogger().on_run_start(RunStart(tmp_path, Config(), 1, 1, 0))
    [record] = [each for each in caplog.records if each.name.startswith("faster_rcnn")]
    assert record.getMessage().startswith("nothing more is sent to MLflow: MlflowException: ")
    assert os.environ[RETRIES] == "0"
