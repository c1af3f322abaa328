"""What export writes loads in torchvision's own detectors, finds the same there, and comes back bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import torchvision
from torch import Tensor
from torch.nn.functional import interpolate

from exports import C4, SIZE, small_detector, unchecked
from faster_rcnn.building import build_model
from faster_rcnn.cli.export import export
from faster_rcnn.cli.import_weights import import_weights
from faster_rcnn.cli.main import main
from faster_rcnn.errors import ModelFileError, OptionError, VerificationError
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap, Detections
from faster_rcnn.system.console import shown
from faster_rcnn.weights.foreign import torchvision_export
from faster_rcnn.weights.foreign.layouts import model_from_layout
from faster_rcnn.weights.foreign.torchvision_layout import LAYOUTS
from faster_rcnn.weights.model_file import save_model
from files import image_file, model_file
from torchvision_peer import assert_same, build_peer, imported, numbered_classes, spread_outputs

MOBILE = "torchvision:fasterrcnn_mobilenet_v3_large_320_fpn"
RESNET = "torchvision:fasterrcnn_resnet50_fpn"
SEEDS = {RESNET: 3, f"{RESNET}_v2": 3, MOBILE: 4}
"""Weights that give detections of several classes, see tests/parity."""


def changed(config: Config, **sections: dict[str, Any]) -> Config:
    update = {name: getattr(config, name).model_copy(update=values) for name, values in sections.items()}
    return config.model_copy(update=update)


def picture() -> Tensor:
    """Patches of smooth colours and some noise, 240 x 310."""
    generator = torch.Generator().manual_seed(5)
    smooth = interpolate(torch.rand(1, 3, 12, 15, generator=generator) * 255, size=(240, 310), mode="bicubic")[0]
    return (smooth + torch.randn(3, 240, 310, generator=generator) * 15).clamp(0, 255).to(torch.uint8)


def calls_in(said: str) -> str:
    """The lines of Python among the messages."""
    lines = said.splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("model = "))
    last = next(index for index, line in enumerate(lines) if line.startswith("model.load_state_dict("))
    return "\n".join(lines[first : last + 1])


def built_by(calls: str) -> Any:
    """torchvision's detector, built and loaded (strict is the default) by what was printed."""
    space: dict[str, Any] = {"torch": torch, "torchvision": torchvision, "safetensors": safetensors}
    exec(calls, space)
    return space["model"].eval()


@pytest.mark.parametrize(
    ("layout", "ending"),
    [
        (MOBILE, ".safetensors"),
        (MOBILE, ".pt"),
        (MOBILE, ".pth"),
        pytest.param(RESNET, ".pth", marks=pytest.mark.soak),
        pytest.param(f"{RESNET}_v2", ".pt", marks=pytest.mark.soak),
    ],
)
def test_torchvision_gives_the_same_detections(
    layout: str, ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = changed(
        LAYOUTS[layout].config(),
        image={"short_side": 200, "long_side": 310, "std": (0.25, 0.25, 0.2)},
        backbone={"norm_epsilon": 1e-3},
        rpn={"proposals_before_nms": 300, "proposals_after_nms": 200, "nms_iou": 0.6, "score_floor": 0.01},
        roi={"score_floor": 0.03, "nms_iou": 0.6, "max_detections": 150},
    )
    peer = build_peer(layout, outputs=9, seed=SEEDS[layout], rpn_post_nms_top_n_test=200)
    spread_outputs(peer, picture())
    ours = imported(peer, layout, numbered_classes(8), settings)
    path, out = tmp_path / "ours.safetensors", tmp_path / f"theirs{ending}"
    save_model(path, ours.model, ours.config, ours.classes)

    assert export(str(path), layout=layout, out=out) == 0
    said = capsys.readouterr().err
    assert "labels there: 0 is background, 1 is 'class 0', 2 is 'class 1'" in said
    theirs = built_by(calls_in(said))
    with torch.no_grad():
        (found,) = theirs([picture().float() / 255])
    expected = Detections(found["boxes"], found["scores"], found["labels"] - 1)
    assert_same(expected, ours.model.detect([picture()])[0])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_there_and_back_is_the_same_to_the_last_bit(
    layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = build_model(LAYOUTS[layout].config(), 2)
    path, out, again = tmp_path / "ours.safetensors", tmp_path / "theirs.pth", tmp_path / "again.safetensors"
    save_model(path, model, LAYOUTS[layout].config(), ClassMap(("cat", "dog"), (1, 2)))
    assert export(str(path), layout=None, out=out) == 0
    built_by(calls_in(capsys.readouterr().err))
    import_weights(out, layout=layout, classes="cat,dog", out=again)
    assert path.read_bytes() == again.read_bytes()


def test_nothing_is_written_for_a_model_that_does_not_fit(tmp_path: Path) -> None:
    path, out = model_file(tmp_path / "tiny.safetensors"), tmp_path / "tiny.pth"
    with pytest.raises(
        ModelFileError,
        match=r"backbone\.body is test_resnet, there resnet50; .*settings that differ beside these: [0-9]+;",
    ):
        export(str(path), layout="torchvision:fasterrcnn_resnet50_fpn", out=out)
    assert not out.exists()


def test_another_ending_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"--out .*pets\.h5 must end in \.pth, \.pt or \.safetensors"):
        export("no such model", layout=None, out=tmp_path / "pets.h5")


def test_weights_that_are_not_finite_are_not_exported(tmp_path: Path) -> None:
    config = preset("mobile-320")
    model = build_model(config, 3)
    torch.nn.init.constant_(model.roi.classes.bias, torch.nan)
    save_model(tmp_path / "bad.safetensors", model, config, ClassMap(("a", "b", "c"), (1, 2, 3)))
    out = tmp_path / "out.pth"
    out.write_text("mine")
    message = r"^E123 .*bad\.safetensors: 1 tensor \('roi\.classes\.bias'\) is not finite"
    with pytest.raises(ModelFileError, match=message):
        export(str(tmp_path / "bad.safetensors"), layout=None, out=out)
    assert out.read_text() == "mine"


def test_what_differs_when_it_is_read_back_takes_no_files_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = preset("mobile-320")
    save_model(tmp_path / "model.safetensors", build_model(config, 3), config, ClassMap(("a", "b", "c"), (1, 2, 3)))
    out = tmp_path / "out.safetensors"
    out.write_text("mine")

    def other(*arguments: Any) -> Any:
        loaded = model_from_layout(*arguments)
        torch.nn.init.zeros_(loaded.model.roi.classes.weight)
        return loaded

    monkeypatch.setattr(torchvision_export, "model_from_layout", other)
    with pytest.raises(
        VerificationError, match=r"written for .*out\.safetensors differs from the detector in tensor 'roi\.class"
    ):
        export(str(tmp_path / "model.safetensors"), layout=None, out=out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "out.safetensors"]
    assert out.read_text() == "mine"


@pytest.mark.xdist_group("exports")
def test_a_program_is_written_verified_and_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded, out = small_detector(C4), tmp_path / "m.pt2"
    model = tmp_path / "m.safetensors"
    save_model(model, loaded.model, loaded.config, loaded.classes)
    picture_file = image_file(tmp_path / "p.png", *SIZE)
    with unchecked(), shown():
        assert export(str(model), out=out, size="90x130", images=[str(picture_file)]) == 0
        assert export(str(model), verify=out) == 0
    said = capsys.readouterr()
    assert "worst box difference" in said.out + said.err
    assert main(["predict", str(out), str(picture_file), "--conf", "0", "--json", str(tmp_path / "found.jsonl")]) == 0
    assert '"detections": [{' in (tmp_path / "found.jsonl").read_text(encoding="utf-8")
    assert main(["explain", str(out), str(picture_file)]) == 2


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({}, "--out FILE"),
        ({"out": Path("a.onnx"), "format": "pt2"}, r"ends in \.pt2"),
        ({"out": Path("a.pth"), "batch": "2", "images": ["a"]}, "weights alone; leave --batch, --images out"),
        ({"out": Path("a.onnx"), "layout": "torchvision:x"}, "--layout"),
        ({"verify": Path("a.pth")}, r"\.onnx, \.xml, \.pt2"),
        ({"verify": Path("a.onnx"), "out": Path("b.onnx")}, "leave --out out"),
        (
            {"verify": Path("a.onnx"), "batch": "2", "nms": "none", "precision": "int8", "layout": "x"},
            "leave --batch, --nms, --precision, --layout out",
        ),
        ({"out": Path("a.xml"), "precision": "int8", "preprocess": "none"}, "--images FOLDER"),
        ({"out": Path("a.onnx"), "precision": "bfloat16"}, "openvino or pt2"),
        ({"out": Path("a.pt2"), "split": "val"}, "name both"),
        ({"out": Path("a.pt2"), "images": ["a"], "data": Path("b")}, "leave one out"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: dict[str, Any], part: str) -> None:
    with pytest.raises(OptionError, match=part):
        export("m.safetensors", **arguments)
