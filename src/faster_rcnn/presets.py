"""Complete settings by name; what each is for stands in its docstring."""

from __future__ import annotations

from collections.abc import Callable

from faster_rcnn.config import BackboneConfig, Config, ImageConfig, RoiConfig, RpnConfig, TrainingConfig
from faster_rcnn.errors import OptionError


def small() -> Config:
    """For CPUs and small data sets: EfficientNet-Lite0 with a light pyramid, 416 pixels."""
    return Config(
        preset="small",
        image=ImageConfig(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        # The two stages down to stride 4: 0.5 % of the body's weights, and its largest maps to go back through.
        backbone=BackboneConfig(weights="imagenet", norm_epsilon=1e-3, frozen_stages=2),
        roi=RoiConfig(samples_per_image=256),
    )


def base() -> Config:
    """The reference model: layout and numbers of torchvision's ``fasterrcnn_resnet50_fpn``."""
    return Config(
        preset="base",
        image=ImageConfig(short_side=800, long_side=1333, resize="plain"),
        backbone=BackboneConfig(body="resnet50", weights="imagenet", frozen_stages=2, pyramid_channels=256),
        rpn=RpnConfig(
            anchor_stride="fitted",
            proposals_before_nms_training=2000,
            proposals_after_nms_training=2000,
            proposals_before_nms=1000,
            proposals_after_nms=1000,
        ),
        training=TrainingConfig(lr=0.02),
    )


def base_v2() -> Config:
    """torchvision's ``fasterrcnn_resnet50_fpn_v2``, the layout of the most accurate published weights."""
    reference = base()
    return reference.model_copy(
        update={
            "preset": "base-v2",
            "backbone": reference.backbone.model_copy(update={"norm": "batch", "pyramid_norm": True}),
            "rpn": reference.rpn.model_copy(update={"head_convs": 2}),
            "roi": RoiConfig(head_convs=(256, 256, 256, 256), head_hidden=(1024,)),
        }
    )


def mobile() -> Config:
    """torchvision's ``fasterrcnn_mobilenet_v3_large_fpn``: 15 anchors at each of three levels."""
    reference = base()
    return reference.model_copy(
        update={
            "preset": "mobile",
            "backbone": BackboneConfig(
                body="torchvision:mobilenet_v3_large",
                levels=(4, 5),
                weights="imagenet",
                frozen_stages=3,
                pyramid_channels=256,
            ),
            "rpn": reference.rpn.model_copy(
                update={"anchor_sizes": ((32, 64, 128, 256, 512),) * 3, "score_floor": 0.05}
            ),
        }
    )


def mobile_320() -> Config:
    """torchvision's ``fasterrcnn_mobilenet_v3_large_320_fpn``: the same at 320 pixels with 150 proposals."""
    reference = mobile()
    return reference.model_copy(
        update={
            "preset": "mobile-320",
            "image": ImageConfig(short_side=320, long_side=640, resize="plain"),
            "rpn": reference.rpn.model_copy(update={"proposals_before_nms": 150, "proposals_after_nms": 150}),
        }
    )


PRESETS: dict[str, Callable[[], Config]] = {
    "small": small,
    "base": base,
    "base-v2": base_v2,
    "mobile": mobile,
    "mobile-320": mobile_320,
}


def preset(name: str) -> Config:
    """Settings by name; raises ``OptionError`` for a name that is not one."""
    if name not in PRESETS:
        raise OptionError(f"there is no preset '{name}'; presets are {', '.join(PRESETS)}", code="E125")
    return PRESETS[name]()
