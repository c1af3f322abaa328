from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision.models import detection

from faster_rcnn.cli.import_weights import import_weights
from faster_rcnn.errors import ModelFileError, OptionError, VerificationError
from faster_rcnn.settings.presets import preset
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights import verification
from faster_rcnn.weights.model_file import load_model

LAYOUT = "torchvision:fasterrcnn_mobilenet_v3_large_320_fpn"


@cache
def checkpoint(outputs: int) -> dict[str, Tensor]:
    torch.manual_seed(0)
    peer = detection.fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None, num_classes=outputs)
    state: dict[str, Tensor] = peer.state_dict()
    return state


@pytest.fixture(scope="module")
def three_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "peer.pth"
    torch.save({"model": checkpoint(4), "epoch": 3}, path)  # as torchvision's own scripts wrap it
    return path


def test_a_checkpoint_becomes_a_model_file(
    three_classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pets.safetensors"
    assert import_weights(three_classes, layout=LAYOUT, classes="cat,dog,cow", out=out) == 0
    loaded = load_model(out)
    assert loaded.classes.names == ("cat", "dog", "cow")
    assert loaded.config == preset("mobile-320")
    foreign = checkpoint(4)
    # torchvision's background is class 0, ours is the last; the four rows of background's box are gone.
    torch.testing.assert_close(loaded.model.roi.classes.bias[0], foreign["roi_heads.box_predictor.cls_score.bias"][1])
    torch.testing.assert_close(loaded.model.roi.classes.bias[3], foreign["roi_heads.box_predictor.cls_score.bias"][0])
    torch.testing.assert_close(loaded.model.roi.deltas.weight, foreign["roi_heads.box_predictor.bbox_pred.weight"][4:])
    assert "read it back and found it equal" in capsys.readouterr().err


def test_cocos_outputs_keep_their_ids_and_holes(tmp_path: Path) -> None:
    torch.save(checkpoint(91), tmp_path / "coco.pth")
    import_weights(tmp_path / "coco.pth", layout=LAYOUT, classes=None, out=tmp_path / "coco.safetensors")
    classes = load_model(tmp_path / "coco.safetensors").classes
    assert classes.ids == tuple(range(1, 91))
    assert [classes.ids[label] for label in classes.holes] == [12, 26, 29, 30, 45, 66, 68, 69, 71, 83]
    assert classes.names[classes.ids.index(90)] == "toothbrush"


@pytest.mark.parametrize(
    ("layout", "classes", "message"),
    [
        (LAYOUT, None, "the file has 3 classes without names and COCO has 90"),
        (LAYOUT, "cat,dog", "names 2 classes, the file has 3, background not counted"),
        (LAYOUT, "cat,dog,cat", "names 'cat' twice"),
        ("torchvision:fasterrcnn_resnet50_fpn", None, "tensors fit --layout .*mobilenet_v3_large_fpn"),
        ("torchvision:fasterrcnn_resnet50_fpn", "a,b,c", "tensors fit --layout .*mobilenet_v3_large_fpn"),
        ("torchvision:fasterrcnn", "a,b,c", "there is no layout 'torchvision:fasterrcnn'"),
    ],
)
def test_what_does_not_fit_is_refused(
    three_classes: Path, tmp_path: Path, layout: str, classes: str | None, message: str
) -> None:
    with pytest.raises(ModelFileError, match=message):
        import_weights(three_classes, layout=layout, classes=classes, out=tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_a_checkpoint_that_would_run_code_is_not_read(tmp_path: Path) -> None:
    torch.save({"model": Path("an object")}, tmp_path / "evil.pth")
    with pytest.raises(
        ModelFileError, match=r"its keys are 'model' \(an object of pathlib\.\w+\); save model.state_dict"
    ):
        import_weights(tmp_path / "evil.pth", layout=LAYOUT, classes="a,b,c", out=tmp_path / "out.safetensors")


def test_settings_that_weights_do_not_hold_are_named_and_set(
    three_classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "own.safetensors"
    settings = ["rpn.anchor_sizes=[[8,16,32,64,128],[8,16,32,64,128],[8,16,32,64,128]]", "roi.score_floor=0.2"]
    assert import_weights(three_classes, layout=LAYOUT, classes="a,b,c", out=out, settings=settings) == 0
    [line] = [each for each in capsys.readouterr().err.splitlines() if "assumed" in each]
    assert "image.short_side=320 image.long_side=640 image.mean=[0.485,0.456,0.406]" in line
    assert "rpn.anchor_heights_over_widths=[0.5,1,2] rpn.proposals_after_nms=150" in line
    assert "rpn.anchor_sizes" not in line
    assert "roi.score_floor" not in line
    config = load_model(out).config
    assert config.rpn.anchor_sizes == ((8, 16, 32, 64, 128),) * 3
    assert config.roi.score_floor == 0.2
    with pytest.raises(
        OptionError, match=r"E125 --set rpn.anchor_size=\[8\]: there is no setting .* mean 'rpn.anchor_sizes"
    ):
        import_weights(three_classes, layout=LAYOUT, classes="a,b,c", out=out, settings=["rpn.anchor_size=[8]"])
    # Two sizes and three ratios are six anchors for each place, and the file has rows for fifteen.
    with pytest.raises(ModelFileError, match=r"has the shape \(15, 256, 1, 1\), the detector needs \(6, 256, 1, 1\)"):
        import_weights(
            three_classes, layout=LAYOUT, classes="a,b,c", out=out, settings=["rpn.anchor_sizes=[[8,9],[8,9],[8,9]]"]
        )


def test_values_that_are_not_finite_are_the_checkpoints_fault(tmp_path: Path) -> None:
    bad = {**checkpoint(4), "rpn.head.bbox_pred.bias": torch.full((60,), torch.nan)}
    torch.save(bad, tmp_path / "bad.pth")
    out = tmp_path / "out.safetensors"
    out.write_text("mine")
    with pytest.raises(ModelFileError, match=r"^E123 .*bad\.pth: 1 tensor \('rpn.head.bbox_pred.bias'\) is not finite"):
        import_weights(tmp_path / "bad.pth", layout=LAYOUT, classes="a,b,c", out=out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.pth", "out.safetensors"]
    assert out.read_text() == "mine"


def test_what_differs_when_it_is_read_back_takes_no_files_place(
    three_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.safetensors"
    out.write_text("mine")
    monkeypatch.setattr(
        verification, "load_model", lambda path: replace(load_model(path), classes=ClassMap(("x",), (1,)))
    )
    with pytest.raises(
        VerificationError,
        match=r"what was written for .*out.safetensors differs from the detector in its settings or classes",
    ):
        import_weights(three_classes, layout=LAYOUT, classes="a,b,c", out=out)
    assert [path.name for path in tmp_path.iterdir()] == ["out.safetensors"]
    assert out.read_text() == "mine"
