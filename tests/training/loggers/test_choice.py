from __future__ import annotations

import builtins
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from faster_rcnn.errors import MissingExtraError, OptionError
from faster_rcnn.training.loggers.choice import LOGGERS, loggers_of
from made_data import make_squares, settings_file, train_with


def test_a_name_that_is_no_logger_is_refused() -> None:
    assert loggers_of(None) == ()
    with pytest.raises(
        OptionError, match="E125 --log comet: there is no logger 'comet'; loggers are tensorboard, mlflow"
    ):
        loggers_of("comet")


@pytest.mark.parametrize("name", LOGGERS)
def test_a_package_that_is_missing_is_named_with_the_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(module: str, *rest: Any, **more: Any) -> Any:
        if module.partition(".")[0] in LOGGERS or module == "torch.utils.tensorboard":
            raise ImportError(module)
        return original(module, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=rf"needs the package '{name}': pip install 'faster-rcnn\[log\]'"):
        loggers_of(name)


def test_no_package_is_imported_unless_it_is_named() -> None:
    program = (
        "import sys; from faster_rcnn.training.loggers.choice import loggers_of; loggers_of(None); "
        f"print([each for each in {list(LOGGERS)} if each in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_name_is_checked_before_anything_is_written(tmp_path: Path) -> None:
    data = make_squares(tmp_path / "data", {"train": 4})
    with pytest.raises(OptionError, match="there is no logger"):
        train_with(data, config=settings_file(tmp_path), out=tmp_path / "run", log="tensorbord")
    assert not (tmp_path / "run").exists()
