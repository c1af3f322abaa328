"""``faster-rcnn demo``: metrics, pictures and a trained detector, with a tiny detector in the place of the training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faster_rcnn.cli.demo import demo
from faster_rcnn.demo.run import DemoFolder
from faster_rcnn.errors import OptionError
from files import coco_folder, model_file


def make_and_train(folder: DemoFolder, device: str) -> None:
    """Three test pictures of noise, and a detector of random weights."""
    coco_folder(folder.data, [[(0, 5, 5, 30, 20)], [], []])
    for path in list((folder.data / "images").iterdir()):
        path.rename(path.with_name(f"test_{path.name}"))
    annotations = folder.data / "annotations" / "test.json"
    annotations.write_text(annotations.read_text().replace('"file_name": "', '"file_name": "test_'))
    for path in (folder.data / "images").iterdir():
        path.with_suffix(".jpg").write_bytes(path.read_bytes())
    model_file(folder.run / "best.safetensors")


def test_the_demo_measures_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("faster_rcnn.demo.run.train_on_digits", make_and_train)
    out = tmp_path / "demo"
    assert demo(out=out) == 0
    table, err = capsys.readouterr()
    assert table.startswith("AP     ")
    numbers = json.loads((out / "test.json").read_text())
    assert (numbers["split"], numbers["images"]) == ("test", 3)
    assert len(list((out / "pictures").iterdir())) == 3
    assert f"Test pictures with the detected boxes: {out / 'pictures.png'}" in err
    assert f"why each digit was found or missed: {out / 'explanation.html'}" in err
    assert "<html" in (out / "explanation.html").read_text()
    assert "CC BY 4.0" in err
    with pytest.raises(OptionError, match=r"E132 .* holds a demo already"):
        demo(out=out)
