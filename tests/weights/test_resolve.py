"""A user names a detector by a model file, a run folder or a published name; other names get a hint."""

from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.errors import ModelFileError
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights import resolve
from faster_rcnn.weights.model_file import LoadedModel, save_model
from faster_rcnn.weights.resolve import resolve_model
from tiny import tiny_config, tiny_model

LAYOUT = "torchvision:fasterrcnn_resnet50_fpn"


def test_a_model_file_and_its_run_folder_are_loaded(tmp_path: Path) -> None:
    classes = ClassMap(("cat",), (7,))
    save_model(tmp_path / "best.safetensors", tiny_model(1), tiny_config(), classes)
    for name in (tmp_path, tmp_path / "best.safetensors"):
        assert resolve_model(str(name)).classes == classes


def test_a_published_name_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = LoadedModel(tiny_model(1), tiny_config(), ClassMap(("cat",), (1,)))
    monkeypatch.setattr(resolve, "published_model", {LAYOUT: loaded}.__getitem__)
    assert resolve_model(LAYOUT) is loaded


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("small", r"^E123 'small' is a preset, .*; train one first: faster-rcnn train DATA --model small$"),
        (f"{LAYOUT}_v3", rf"^E123 there are no published weights '{LAYOUT}_v3'; did you mean '{LAYOUT}_v2'\?$"),
        ("torchvision:yolo", r"^E123 there are no published weights 'torchvision:yolo'; there are torchvision:"),
        ("nothing", r"^E123 there is no model file or run folder 'nothing'"),
    ],
)
def test_other_names_are_refused_with_a_hint(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelFileError, match=message):
        resolve_model(text)


def test_a_layout_where_a_model_is_expected_names_the_import() -> None:
    layout = "detectron2:faster_rcnn_R_50_FPN_3x"
    with pytest.raises(
        ModelFileError, match=rf"not downloaded; .*: faster-rcnn import FILE --layout {layout} --out MODEL"
    ):
        resolve_model(layout)
    with pytest.raises(ModelFileError, match="there is no layout 'detectron2:mask_rcnn'"):
        resolve_model("detectron2:mask_rcnn")
