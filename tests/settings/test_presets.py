"""Presets hold the numbers of torchvision's builders and of the papers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torchvision.models import detection as torchvision_models
from torchvision.models import mobilenet_v3_large
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FrozenBatchNorm2d

from faster_rcnn.building import build_model
from faster_rcnn.errors import OptionError
from faster_rcnn.model import FasterRCNN
from faster_rcnn.roi.heads import RegionHead
from faster_rcnn.settings.presets import PRESETS, preset
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ImageBatch, ImageSize

Build = Callable[..., nn.Module]
PAIRS: list[tuple[str, Build]] = [
    ("base", torchvision_models.fasterrcnn_resnet50_fpn),
    ("base-v2", torchvision_models.fasterrcnn_resnet50_fpn_v2),
    ("mobile", torchvision_models.fasterrcnn_mobilenet_v3_large_fpn),
    ("mobile-320", torchvision_models.fasterrcnn_mobilenet_v3_large_320_fpn),
]


def ours_and_theirs(name: str, build: Build) -> tuple[FasterRCNN, Any]:
    """Both models for 3 classes (torchvision counts the background), without memory for their weights."""
    with torch.device("meta"):
        return build_model(preset(name), 3), build(weights=None, weights_backbone=None, num_classes=4)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_carry_their_name_and_round_trip(name: str) -> None:
    config = preset(name)
    assert config.preset == name
    assert Config.model_validate(config.model_dump()) == config
    assert Config.model_validate_json(config.model_dump_json()) == config


def test_an_unknown_preset_is_an_error_that_names_the_presets() -> None:
    with pytest.raises(OptionError, match=r"'large'.*small, small-plus, fast, base, base-v2, mobile, mobile-320"):
        preset("large")


def test_small_is_the_default_and_has_the_numbers_of_the_design() -> None:
    small = preset("small")
    assert (small.image.short_side, small.image.long_side) == (416, 640)
    assert (small.backbone.body, small.backbone.pyramid_channels) == ("tf_efficientnet_lite0", 128)
    assert small.rpn.anchor_sizes == ((), (24, 48), (48, 96), (96, 192), (192, 384))
    assert (small.rpn.proposals_after_nms_training, small.rpn.proposals_after_nms) == (1000, 100)
    assert (small.rpn.head_channels, small.backbone.pyramid_plain) == (64, 2)
    assert (small.roi.pooled_side, small.roi.head_hidden) == (7, (512, 512))
    assert (small.training.optimizer, small.training.lr, small.training.weight_decay) == ("adamw", 1.6e-3, 0.05)
    with torch.device("meta"):
        built = build_model(small, 3)
    assert built.backbone.strides == (4, 8, 16, 32, 64)
    assert built.rpn.anchors.strides == (4, 8, 16, 32, 64)


@pytest.mark.parametrize(("name", "build"), PAIRS)
def test_parameters_are_those_of_torchvision(name: str, build: Build) -> None:
    ours, theirs = ours_and_theirs(name, build)
    heads = (ours.roi.deltas, theirs.roi_heads.box_predictor.bbox_pred)
    # torchvision gives the background deltas too: 4 rows of 1024 weights and a bias that we do not have.
    assert [sum(each.numel() for each in head.parameters()) for head in heads] == [12 * 1025, 16 * 1025]
    # All other parameters, batch norm's too, have the same shapes; only their names and order differ.
    for head in heads:
        head.weight, head.bias = None, None
    shapes = [Counter(tuple(each.shape) for each in model.parameters()) for model in (ours, theirs)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(("name", "build"), PAIRS)
def test_numbers_are_those_of_torchvision(name: str, build: Build) -> None:
    config = preset(name)
    with torch.device("meta"):
        theirs: Any = build(weights=None, weights_backbone=None, num_classes=4)
    image, rpn, roi = config.image, config.rpn, config.roi
    transform, first, second = theirs.transform, theirs.rpn, theirs.roi_heads
    assert ((image.short_side,), image.long_side) == (tuple(transform.min_size), transform.max_size)
    assert (list(image.mean), list(image.std)) == (transform.image_mean, transform.image_std)
    assert image.resize == "plain"
    assert (rpn.proposals_before_nms_training, rpn.proposals_before_nms) == tuple(first._pre_nms_top_n.values())
    assert (rpn.proposals_after_nms_training, rpn.proposals_after_nms) == tuple(first._post_nms_top_n.values())
    assert (rpn.nms_iou, rpn.score_floor, rpn.min_side) == (first.nms_thresh, first.score_thresh, first.min_size)
    matcher, sampler = first.proposal_matcher, first.fg_bg_sampler
    assert (rpn.positive_iou, rpn.negative_iou) == (matcher.high_threshold, matcher.low_threshold)
    assert (rpn.samples_per_image, rpn.positive_fraction) == (sampler.batch_size_per_image, sampler.positive_fraction)
    assert (roi.score_floor, roi.nms_iou, roi.max_detections) == (
        second.score_thresh,
        second.nms_thresh,
        second.detections_per_img,
    )
    matcher, sampler = second.proposal_matcher, second.fg_bg_sampler
    assert (roi.positive_iou, roi.negative_iou) == (matcher.high_threshold, matcher.low_threshold)
    assert (roi.samples_per_image, roi.positive_fraction) == (sampler.batch_size_per_image, sampler.positive_fraction)
    assert roi.delta_weights == second.box_coder.weights
    pool = second.box_roi_pool
    assert ((roi.pooled_side,) * 2, roi.sampling_ratio) == (pool.output_size, pool.sampling_ratio)
    assert (roi.canonical_size, 4) == (pool.canonical_scale, pool.canonical_level)


def trained(body: nn.Module) -> int:
    return sum(each.numel() for each in body.parameters() if each.requires_grad)


def test_trained_parameters_of_the_bodies_are_those_of_torchvision() -> None:
    # Where its bodies begin with ImageNet weights, torchvision trains the last 3 of 5 or 6 stages.
    for name, norm in (("base", FrozenBatchNorm2d), ("base-v2", nn.BatchNorm2d)):
        with torch.device("meta"):
            ours = build_model(preset(name), 3).backbone.body
            theirs = resnet_fpn_backbone(backbone_name="resnet50", weights=None, trainable_layers=3, norm_layer=norm)
        assert trained(ours) == trained(theirs.body)
    with torch.device("meta"):
        ours = build_model(preset("mobile"), 3).backbone.body
        layers = mobilenet_v3_large(weights=None, norm_layer=FrozenBatchNorm2d)
        # It is cut before the classifier; 3 of 6 stages leaves blocks 7 to 16.
        assert trained(ours) == trained(layers.features[7:])


@pytest.mark.parametrize(("name", "build"), [PAIRS[0], PAIRS[2]])
def test_anchors_are_those_of_torchvision(name: str, build: Build) -> None:
    ours = build_model(preset(name), 3)
    with torch.device("meta"):
        theirs: Any = build(weights=None, weights_backbone=None, num_classes=4)
    generator = theirs.rpn.anchor_generator
    generator.cell_anchors = [
        generator.generate_anchors(sizes, ratios)
        for sizes, ratios in zip(generator.sizes, generator.aspect_ratios, strict=True)
    ]
    # 416 x 608: strides of 64 leave 6.5 x 9.5 cells, rounded up.
    pixels = torch.zeros(1, 3, 416, 608)
    features = [torch.zeros(1, 1, -(-416 // stride), -(-608 // stride)) for stride in ours.backbone.strides]
    expected = generator(ImageList(pixels, [(416, 608)]), features)[0]
    found = ours.rpn.anchors(features, ImageBatch(pixels, (ImageSize(416, 608),)))
    assert_close(found.boxes, expected)


def test_paper_has_the_numbers_of_the_paper() -> None:
    """arXiv 1506.01497 v3, and Fast R-CNN (1504.08083) for the second stage."""
    config = preset("paper")
    image, rpn, roi, training = config.image, config.rpn, config.roi, config.training
    assert (image.short_side, image.long_side) == (600, 1000)  # 3.3; the longer one is capped in Fast, 5.2
    assert (config.backbone.body, config.backbone.neck, config.backbone.weights) == ("vgg16", "none", "imagenet")
    assert rpn.anchor_sizes == ((128, 256, 512),)  # 3.3: areas of 128^2, 256^2 and 512^2 pixels,
    assert rpn.anchor_heights_over_widths == (0.5, 1.0, 2.0)  # of 1:1, 1:2 and 2:1
    assert (rpn.objectness, rpn.head_convs, rpn.head_channels) == ("softmax", 1, 512)  # 3.1
    assert (rpn.positive_iou, rpn.negative_iou) == (0.7, 0.3)  # 3.1.2
    assert rpn.crossing_anchors == "ignore"  # 3.3
    assert (rpn.samples_per_image, rpn.positive_fraction) == (256, 0.5)  # 3.1.3: up to 1:1
    assert (rpn.box_loss_normaliser, rpn.box_loss_weight) == ("positions", 10)  # 3.1.2: N_reg and lambda
    assert (rpn.box_loss, rpn.box_loss_beta) == ("smooth_l1", 1)  # Fast, Eq. 3
    assert (rpn.nms_iou, rpn.proposals_after_nms_training, rpn.proposals_after_nms) == (0.7, 2000, 300)  # 3.3, 4
    assert (rpn.proposals_before_nms_training, rpn.proposals_before_nms) == (12000, 6000)  # the authors' code
    assert (roi.pooling, roi.pooled_side, roi.head_hidden, roi.dropout) == ("pool", 7, (4096, 4096), 0.5)  # Fast, 2.1
    assert (roi.samples_per_image, roi.positive_fraction) == (128, 0.25)  # Fast, 2.3: 64 of each of 2 images
    assert (roi.positive_iou, roi.negative_iou, roi.negative_iou_from) == (0.5, 0.5, 0)  # Fast, 2.3; authors' code: 0
    assert (roi.box_loss, roi.box_loss_beta, roi.box_loss_weight) == ("smooth_l1", 1, 1)  # Fast, Eq. 1 to 3
    assert (training.momentum, training.weight_decay) == (0.9, 5e-4)  # 3.1.3
    assert training.lr / 16 * training.images_per_step == pytest.approx(0.001)  # 3.1.3
    # 3.1.3: 60,000 steps, then 20,000 at a tenth of the rate: 60,000 / 80,000 = 0.75.
    assert (training.schedule, training.milestones, training.decay) == ("multistep", (0.75,), 0.1)
    assert (rpn.anchor_offset, roi.nms_iou) == (0.5, 0.3)  # the authors' code
    with torch.device("meta"):
        model = build_model(config, 20)
    assert model.backbone.strides == (16,)
    outputs = model.rpn([torch.zeros(1, 512, 2, 3, device="meta")])
    assert (outputs.logits.shape, outputs.deltas.shape) == ((1, 54, 2), (1, 54, 4))  # k = 9 at 6 positions: 2k and 4k
    # A 3x3 convolution, then 2 * 9 and 4 * 9 channels by 1x1 ones (3.1).
    layers = (*model.rpn.head.convs, model.rpn.head.objectness, model.rpn.head.deltas)
    assert [each.weight.shape for each in layers] == [(512, 512, 3, 3), (18, 512, 1, 1), (36, 512, 1, 1)]
    assert isinstance(model.roi.head, RegionHead)
    # fc6 reads 512 channels of 7 x 7 bins: 25,088 numbers.
    assert [each.weight.shape for each in model.roi.head.layers] == [(4096, 25_088), (4096, 4096)]
    assert model.roi.head.dropout.p == 0.5
    frozen = {name for name, each in model.named_parameters() if not each.requires_grad}
    # conv1_1, conv1_2, conv2_1, conv2_2 (3.1.3), with a pooling after each two.
    convs = ("features_0", "features_2", "features_5", "features_7")
    assert frozen == {f"backbone.body.layers.{conv}.{part}" for conv in convs for part in ("weight", "bias")}


def test_c4_gives_conv4_to_both_stages_and_conv5_to_the_second() -> None:
    """Deep residual learning (1512.03385), appendix A."""
    config = preset("c4")
    assert (config.roi.head, config.roi.pooled_side, config.roi.pooling) == ("last_stage", 14, "aligned-align")
    assert config.rpn.anchor_sizes == ((32, 64, 128, 256, 512),)
    assert (config.rpn.proposals_before_nms, config.rpn.proposals_after_nms) == (6000, 300)
    with torch.device("meta"):
        model = build_model(config, 20)
    assert (model.backbone.strides, model.backbone.channels, model.roi.head.outputs) == ((16,), 1024, 2048)
    assert model.rpn([torch.zeros(1, 1024, 2, 3, device="meta")]).logits.shape == (1, 90, 1)  # 15 anchors
