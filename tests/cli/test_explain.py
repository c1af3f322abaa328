from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from faster_rcnn.cli.explain import explain
from faster_rcnn.errors import OptionError
from files import coco_folder, model_file
from made_surveys import TINY_BOXES


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(model_file(tmp_path_factory.mktemp("model") / "tiny.safetensors"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return coco_folder(tmp_path / "data", TINY_BOXES)


def run(model: str, data: Path, **options: Any) -> int:
    return explain(model, data, **{"precision": "float32", "conf": 0.3, **options})


def test_the_table_goes_to_standard_output(model: str, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(model, data) == 0
    out, err = capsys.readouterr()
    assert out.startswith("test: 3 images; detections of at least 0.3, IoU 0.5")
    assert "images of test  3/3" in err


def test_numbers_are_written_as_json(model: str, data: Path, tmp_path: Path) -> None:
    assert run(model, data, json=str(tmp_path / "n.json"), iou_threshold=0.4) == 0
    found = json.loads((tmp_path / "n.json").read_text())
    assert (found["images"], found["conf"], found["iou_threshold"]) == (3, 0.3, 0.4)
    assert found["funnel"]["truths"] == sum(found["funnel"]["verdicts"].values()) == 3


def test_two_models_are_compared(model: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = str(model_file(tmp_path / "other.safetensors", roi={"max_detections": 1}))
    assert run(model, data, against=other, json=str(tmp_path / "n.json"), iou_threshold=0.05) == 0
    out, err = capsys.readouterr()
    assert f"before: {other}\nafter:  {model}\n" in out
    assert err.count("images of test  3/3") == 2
    numbers = json.loads((tmp_path / "n.json").read_text())
    assert (numbers["before"], numbers["after"], numbers["truths"]) == (other, model, 3)
    with pytest.raises(OptionError, match="would be overwritten"):
        run(model, data, against=other, json=other)


def test_mistakes_are_refused_before_the_work(model: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="E125"):
        run(model, data, conf=50)
    with pytest.raises(OptionError, match="were they swapped"):
        run(str(data), Path(model))
    with pytest.raises(OptionError, match="whole images"):
        run(model, data, tile=50, proposals=tmp_path / "p.safetensors")
    with pytest.raises(OptionError, match="would be overwritten"):
        run(model, data, json=str(data / "annotations" / "test.json"))
