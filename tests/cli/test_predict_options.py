from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.cli.predict_options import PredictOptions, load_predictor, refuse_given, refuse_torchrun
from faster_rcnn.errors import OptionError
from faster_rcnn.inference.tiles import Tiling
from files import model_file


def test_options_are_those_of_the_predictor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(model_file(tmp_path / "tiny.safetensors", roi={"score_floor": 0.05}))
    options = PredictOptions(0.01, 1000, 48, None, "dog", 0.4, True, "float32", ["roi.max_detections=9"])
    predictor = load_predictor(model, options, "cpu")
    assert predictor.tiling == Tiling(48, 0.2)
    assert (predictor.choice.classes, predictor.choice.iou, predictor.choice.across_classes) == (("dog",), 0.4, True)
    assert predictor.config.roi.max_detections == 9
    assert predictor.detector.precision.__str__() == "torch.float32"
    err = capsys.readouterr().err
    assert "--conf 0.01: the model itself reports no score below 0.05\n" in err
    assert "--max-det 1000: the model reports at most 9 detections of a tile\n" in err
    assert options.arguments()["settings"] == ["roi.max_detections=9"]


def test_options_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    model = str(model_file(tmp_path / "tiny.safetensors"))
    with pytest.raises(OptionError, match=r"^E125 classes: the detector has no class 'bird'"):
        load_predictor(model, PredictOptions(0.5, None, None, None, "bird", None, False, "auto", None), "cpu")


def test_an_option_that_makes_no_sense_is_named_with_the_reason() -> None:
    refuse_given({"--save": None}, "is for images")
    with pytest.raises(OptionError, match=r"^E125 --batch is for images; leave it out$"):
        refuse_given({"--save": None, "--batch": 0, "--engine": "ray"}, "is for images")


def test_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    refuse_torchrun("it is one film")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match=r"^E125 it is one film; run the command once, without torchrun$"):
        refuse_torchrun("it is one film")
