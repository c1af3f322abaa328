"""The detector of torchvision that equals one of ours: its layout, its arguments, and what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from faster_rcnn.errors import ModelFileError
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.schema import Config
from faster_rcnn.weights.foreign.torchvision_checkpoint import ARGUMENTS, EPSILON, WITHOUT_EFFECT, plan_export
from faster_rcnn.weights.foreign.torchvision_layout import LAYOUTS

MOBILE = "torchvision:fasterrcnn_mobilenet_v3_large_320_fpn"


def changed(config: Config, **sections: dict[str, Any]) -> Config:
    update = {name: getattr(config, name).model_copy(update=values) for name, values in sections.items()}
    return config.model_copy(update=update)


def test_without_a_layout_the_one_that_fits_is_taken() -> None:
    for layout in LAYOUTS:
        config = LAYOUTS[layout].config()
        plan = plan_export("x", config, None)
        assert (plan.layout, plan.arguments, plan.epsilon) == (layout, {}, None)
        trained = changed(config, image={"short_side": 600}, backbone={"weights": "none", "frozen_stages": 0})
        plan = plan_export("x", trained, None)
        assert (plan.layout, plan.arguments) == (layout, {"min_size": 600})


def test_the_call_names_what_differs(tmp_path: Path) -> None:
    config = changed(preset("base"), roi={"max_detections": 7}, backbone={"norm_epsilon": 0.0})
    plan = plan_export("x", config, None)
    assert plan.calls(4, Path("pets.pth")) == [
        "model = torchvision.models.detection.fasterrcnn_resnet50_fpn("
        "weights=None, weights_backbone=None, num_classes=4, box_detections_per_img=7)",
        "for layer in model.backbone.body.modules():",
        "    if hasattr(layer, 'running_var'): layer.eps = 0.0",
        "model.load_state_dict(torch.load('pets.pth', weights_only=True))",
    ]


@pytest.mark.parametrize(
    ("sections", "layout", "message"),
    [
        ({"rpn": {"anchor_offset": 0.5}}, None, r"_resnet50_fpn: rpn\.anchor_offset is 0\.5, there 0\.0; nothing was"),
        ({"image": {"resize": "antialias"}}, None, r"image\.resize is antialias, there plain; nothing was written"),
        ({"roi": {"head_hidden": (64,)}}, None, r"roi\.head_hidden is \(64,\), there \(1024, 1024\); nothing"),
        ({"roi": {"class_agnostic": True}}, None, r"roi\.class_agnostic is True, there False"),
        ({"detector": {"kind": "rpn"}}, None, r"detector\.kind is rpn, there faster-rcnn"),
        ({}, MOBILE, r"_320_fpn: backbone\.body is resnet50, there .*mobilenet.*; backbone\.levels is .*nothing was"),
        ({}, "detectron2:faster_rcnn_R_50_FPN_3x", r"is for import; layouts of export are torchvision:"),
        ({}, "torchvision:fasterrcnn_resnet", r"there is no layout 'torchvision:fasterrcnn_resnet'; did you mean"),
    ],
)
def test_what_does_not_fit_is_refused(sections: dict[str, dict[str, Any]], layout: str | None, message: str) -> None:
    with pytest.raises(ModelFileError, match=rf"^E123 .*{message}") as raised:
        plan_export("pets.safetensors", changed(preset("base"), **sections), layout)
    assert "\n" not in str(raised.value)


def test_settings_of_the_tables_exist_and_are_in_one_table() -> None:
    config = preset("base").model_dump()
    tables = [*ARGUMENTS, *WITHOUT_EFFECT, EPSILON]
    assert all(name in config[section] for section, name in (key.split(".") for key in tables))
    assert len(set(tables)) == len(tables)
