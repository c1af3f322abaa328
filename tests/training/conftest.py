"""What these tests share: the log and the progress are shown as the command shows them, and a run to resume.

A file that uses ``finished`` or ``run`` defines ``config``, the file of settings of that run.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from faster_rcnn.system.console import shown
from made_data import make_squares, train_with


@pytest.fixture(autouse=True)
def _shown() -> Iterator[None]:
    with shown():
        yield


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_squares(tmp_path_factory.mktemp("squares") / "fruit", {"train": 6, "val": 2})


@pytest.fixture(scope="module")
def finished(squares: Path, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_with(squares, config=config, out=tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, without the summary, as if it had been interrupted."""
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run/summary.json").unlink()
    return tmp_path / "run"
