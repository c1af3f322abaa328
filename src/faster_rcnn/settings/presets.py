"""Complete settings by name; the docstring of each preset states its purpose and source."""

from __future__ import annotations

from collections.abc import Callable

from faster_rcnn.errors import OptionError
from faster_rcnn.settings.schema import BackboneConfig, Config, ImageConfig, RoiConfig, RpnConfig
from faster_rcnn.settings.training import TrainingConfig


def small() -> Config:
    """The preset for CPUs and small data sets: EfficientNet-Lite0 with a pyramid of 128 channels, 416 pixels.

    Regions are pooled from stride 4 on, which localises them well. The first stage begins at stride 8, with two sizes
    of anchors at each level, since most of its work would be at stride 4.
    """
    return Config(
        preset="small",
        image=ImageConfig(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        # The two stages up to stride 4 have 0.5 % of the body's weights, and the largest maps for the backward pass.
        backbone=BackboneConfig(weights="imagenet", norm_epsilon=1e-3, frozen_stages=2, pyramid_plain=2),
        rpn=RpnConfig(
            anchor_sizes=((), (24, 48), (48, 96), (96, 192), (192, 384)),
            follow_data=True,
            head_channels=64,
            proposals_before_nms=300,
            proposals_after_nms=100,
        ),
        roi=RoiConfig(head_hidden=(512, 512), samples_per_image=256),
        training=TrainingConfig(optimizer="adamw", lr=1.6e-3, weight_decay=0.05),
    )


def small_plus() -> Config:
    """The preset for more accuracy on a CPU: `small` with EfficientNet-Lite2 at 512 pixels."""
    reference = small()
    return reference.model_copy(
        update={
            "preset": "small-plus",
            "image": reference.image.model_copy(update={"short_side": 512, "long_side": 800}),
            "backbone": reference.backbone.model_copy(update={"body": "tf_efficientnet_lite2"}),
        }
    )


def fast() -> Config:
    """The preset for real time on a CPU: `small` at 224 pixels, with a pyramid of 96 channels."""
    reference = small()
    return reference.model_copy(
        update={
            "preset": "fast",
            "image": reference.image.model_copy(update={"short_side": 224, "long_side": 384}),
            "backbone": reference.backbone.model_copy(update={"pyramid_channels": 96}),
        }
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
    """torchvision's ``fasterrcnn_mobilenet_v3_large_320_fpn``: ``mobile`` at 320 pixels with 150 proposals."""
    reference = mobile()
    return reference.model_copy(
        update={
            "preset": "mobile-320",
            "image": ImageConfig(short_side=320, long_side=640, resize="plain"),
            "rpn": reference.rpn.model_copy(update={"proposals_before_nms": 150, "proposals_after_nms": 150}),
        }
    )


def paper() -> Config:
    """Faster R-CNN as in the paper: VGG16, one level of stride 16, 9 anchors, RoI pooling, 300 proposals.

    Numbers that the paper leaves open are those of its authors' code: the spread of the deltas, 12000 and 6000 anchors
    before NMS of the proposals, and an IoU threshold of 0.3 for NMS of the detections.
    """
    return Config(
        preset="paper",
        image=ImageConfig(short_side=600, long_side=1000),  # section 3.3; Fast R-CNN, 5.2
        # conv5_3, of stride 16; conv1_1 to conv2_2 are not trained (section 3.1.3).
        backbone=BackboneConfig(body="vgg16", neck="none", levels=(4,), weights="imagenet", frozen_stages=2),
        rpn=RpnConfig(
            anchor_sizes=((128, 256, 512),),  # section 3.3
            anchor_rounding=False,
            anchor_offset=0.5,
            head_channels=512,  # section 3.1
            objectness="softmax",
            crossing_anchors="ignore",  # section 3.3
            box_loss_beta=1.0,  # Fast R-CNN, Eq. 3
            box_loss_normaliser="positions",  # section 3.1.2, with the weight of 10
            box_loss_weight=10.0,
            proposals_before_nms_training=12000,
            proposals_after_nms_training=2000,  # section 3.3
            proposals_before_nms=6000,
            proposals_after_nms=300,  # section 4
        ),
        roi=RoiConfig(
            pooling="pool",  # Fast R-CNN, 2.1
            head_hidden=(4096, 4096),
            dropout=0.5,
            samples_per_image=128,
            box_loss_beta=1.0,
            nms_iou=0.3,
        ),
        training=TrainingConfig(
            epochs=12,
            batch=1,
            lr=0.016,  # 0.001 for the one image of a step (section 3.1.3)
            weight_decay=5e-4,
            schedule="multistep",
            milestones=(0.75,),  # 60,000 of 80,000 steps
            scale_jitter=(1.0, 1.0),
            photometric=0.0,
        ),
    )


def c4() -> Config:
    """ResNet-50 up to conv4 for both stages, and its conv5 as the second stage's network (1512.03385, appendix A)."""
    reference = base()
    return reference.model_copy(
        update={
            "preset": "c4",
            "image": reference.image.model_copy(update={"resize": "antialias"}),
            "backbone": BackboneConfig(body="resnet50", neck="none", levels=(3,), weights="imagenet", frozen_stages=2),
            "rpn": RpnConfig(
                anchor_sizes=((32, 64, 128, 256, 512),),
                anchor_rounding=False,
                proposals_before_nms_training=12000,
                proposals_after_nms_training=2000,
                proposals_before_nms=6000,
                proposals_after_nms=300,
            ),
            "roi": RoiConfig(pooling="aligned-align", pooled_side=14, head="last_stage"),
        }
    )


PRESETS: dict[str, Callable[[], Config]] = {
    "small": small,
    "small-plus": small_plus,
    "fast": fast,
    "base": base,
    "base-v2": base_v2,
    "mobile": mobile,
    "mobile-320": mobile_320,
    "paper": paper,
    "c4": c4,
}


def preset(name: str) -> Config:
    """The settings of a preset; raises ``OptionError`` (E125) where no preset has this name."""
    if name not in PRESETS:
        raise OptionError(f"there is no preset '{name}'; presets are {', '.join(PRESETS)}", code="E125")
    return PRESETS[name]()
