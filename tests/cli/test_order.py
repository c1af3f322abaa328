from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from faster_rcnn.cli.evaluate import evaluate
from faster_rcnn.cli.order import refuse_swapped
from faster_rcnn.cli.predict import predict
from faster_rcnn.cli.quantize import quantize
from faster_rcnn.errors import ModelFileError, OptionError
from faster_rcnn.weights.finding import find_model_file


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder ``runs/a`` beside a folder of photos."""
    monkeypatch.chdir(tmp_path)
    for name in ("runs/a/best.safetensors", "photos/a.jpg", "photos/b.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    return Path("runs/a")


OPTIONS: dict[str, Any] = {"json": None, "precision": "auto"}


@pytest.mark.parametrize("model", ["runs/a", "runs/a/best.safetensors"])
def test_swapped_arguments_are_reported(run: Path, model: str) -> None:
    message = re.escape(
        f"E123 photos is no detector, and {model} is one: were they swapped? The detector comes first: faster-rcnn "
    )
    with pytest.raises(OptionError, match=f"{message}evaluate {model} photos$"):
        evaluate("photos", Path(model), split=None, **OPTIONS)
    with pytest.raises(OptionError, match=f"{message}predict {model} photos$"):
        predict("photos", [model], conf=0.5, max_det=None, out=None, **OPTIONS)
    with pytest.raises(OptionError, match=f"{message}quantize {model} photos$"):
        quantize("photos", Path(model), count=1, split=None, out=Path("out"), json=None)


def test_other_images_follow(run: Path) -> None:
    with pytest.raises(OptionError, match=r"faster-rcnn predict runs/a photos/a\.jpg photos/b\.jpg \.\.\.$"):
        refuse_swapped("predict", "photos/a.jpg", ["photos/b.jpg", "runs/a", "photos"])


def test_arguments_in_order_or_unknown_are_not_swapped(run: Path) -> None:
    refuse_swapped("predict", "runs/a", ["photos"])
    refuse_swapped("predict", "runs/a", ["runs/a"])
    refuse_swapped("predict", "torchvision:fasterrcnn_resnet50_fpn", ["runs/a"])  # a published name is no path
    refuse_swapped("predict", "photos", ["photos/a.jpg"])


def test_the_folder_of_all_runs_names_them(run: Path) -> None:
    with pytest.raises(ModelFileError, match=r"so it is not a run folder with a model; the runs in it are runs/a$"):
        find_model_file("runs")
    for number in range(6):
        Path(f"runs/b{number}").mkdir()
        Path(f"runs/b{number}/last.safetensors").touch()
    with pytest.raises(ModelFileError, match=r"the runs in it are (runs/\w+, ){4}runs/\w+ and 2 more$"):
        find_model_file("runs")
    with pytest.raises(ModelFileError, match=r"not a run folder with a model$"):
        find_model_file("photos")
