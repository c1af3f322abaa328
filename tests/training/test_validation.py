"""One number is one number: of an epoch, of the end of a run, of its report and of ``evaluate``."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from faster_rcnn import Detector
from faster_rcnn.cli.evaluate import evaluate
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.errors import DatasetError
from faster_rcnn.settings.schema import Config
from faster_rcnn.system.devices import PRECISIONS, choose_precision
from faster_rcnn.training.run_folder import BEST
from faster_rcnn.training.validation import Validator
from faster_rcnn.weights.model_file import load_model
from faster_rcnn.weights.thresholds import best_f1
from made_data import make_squares, train_with, training_config
from tiny import tiny_model

CPU = torch.device("cpu")
NUMBERS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR100")


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_squares(tmp_path_factory.mktemp("squares") / "data", {"train": 12, "val": 7})


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"ema_decay": 0.9, "precision": "float32"},
        {"precision": "bfloat16"},
        {"kind": "rpn"},
    ],
)
def test_evaluate_gives_the_numbers_of_training_to_all_digits(
    squares: Path, tmp_path: Path, settings: dict[str, str | float]
) -> None:
    file = tmp_path / "tiny.yaml"
    kind = settings.pop("kind", "faster-rcnn")
    config = training_config(epochs=6, lr=0.8, **settings).model_dump(mode="json")
    config["detector"]["kind"] = kind
    file.write_text(yaml.safe_dump(config))
    run = train_with(squares, config=file, out=tmp_path / "run")
    trained_in: Any = settings.get("precision", "float32")  # that of ``training_config``
    precision: Any = "auto" if choose_precision("auto", CPU) == PRECISIONS[trained_in] else trained_in
    evaluate(str(run), squares, split="val", precision=precision, json=str(tmp_path / "numbers.json"))
    measured = json.loads((tmp_path / "numbers.json").read_text())
    summary = json.loads((run / "summary.json").read_text())
    lines = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    line = lines[summary["best"]["epoch"] - 1]
    assert kind == "rpn" or any(measured[name] for name in NUMBERS)  # something was found
    kept = load_model(run / BEST).thresholds
    assert (kept is None) == (kind == "rpn")  # proposals have no classes
    for points, each in zip([] if kept is None else kept.points, measured["per_class"].values(), strict=False):
        best = best_f1(points)
        assert each["F1"] in (None, 0.0) if best is None else best.f1 == pytest.approx(each["F1"], abs=1e-5)
    assert "<h2>Confusion</h2>" in (run / "report.html").read_text()
    for name in NUMBERS:
        assert summary["best"][name] == measured[name]
        assert line[name] == ("" if measured[name] is None else str(measured[name]))
    metrics = Detector.load(run, precision=precision).evaluate(squares, "val")
    assert metrics.ap == measured["AP"]
    evaluate(str(run / "last.safetensors"), squares, split="val", precision=precision, json=str(tmp_path / "last.json"))
    assert json.loads((tmp_path / "last.json").read_text())["AP"] == summary["last"]["AP"]


def test_validation_has_the_losses_of_the_whole_split(squares: Path) -> None:
    split = load_dataset(squares, Config().data).splits["val"]
    model = tiny_model(2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    done: list[None] = []
    found = Validator(split, training_config(), split.classes, None, torch.float32).validate(
        model, lambda: done.append(None)
    )
    assert len(done) == len(split.records) == 7
    assert set(found.losses) == {"rpn_objectness", "rpn_box", "roi_class", "roi_box"}
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert found.columns()["val_rpn_objectness"] == found.losses["rpn_objectness"]
    again = Validator(split, training_config(), split.classes, None, torch.float32).validate(model, lambda: None)
    assert again.losses == found.losses


def test_an_image_that_breaks_during_training_is_left_out_of_validation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_squares(tmp_path / "data", {"train": 1, "val": 3})
    split = load_dataset(data, Config().data).splits["val"]
    validator = Validator(split, training_config(), split.classes, None, torch.float32)
    (data / "images/val1.png").write_bytes(b"no longer an image")
    assert validator.validate(tiny_model(2), lambda: None).metrics.images == 2
    assert "val1.png" in capsys.readouterr().err
    (data / "images/val2.png").unlink()
    with pytest.raises(DatasetError, match="E105 2 of 3 images of val cannot be decoded"):
        validator.validate(tiny_model(2), lambda: None)
