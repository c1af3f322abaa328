"""Small detectors, boxes and truths, for tests that need some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from _pytest.mark import ParameterSet
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

from faster_rcnn.backbone.norm import norms
from faster_rcnn.building import build_model
from faster_rcnn.kernels.roi_align_cpu import gather_roi_align
from faster_rcnn.model import FasterRCNN
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.schema import BackboneConfig, Config, ImageConfig, RoiConfig, RpnConfig
from faster_rcnn.structures import Anchors, Detections, GroundTruth, Proposals, TrainingBatch

COARSE = ((), (8.0, 16.0), (16.0, 32.0), (32.0, 64.0), (64.0, 128.0))
"""Sizes of anchors from the second level on: the finest one has none."""


def tiny_config(**sections: dict[str, Any]) -> Config:
    """Every part of the detector on timm's smallest ResNet, at 64 to 128 pixels; each section may be changed."""
    numbers: dict[str, dict[str, Any]] = {
        "image": {"short_side": 64, "long_side": 128},
        "backbone": {"body": "test_resnet", "pyramid_channels": 16},
        "rpn": {"anchor_sizes": ((8.0,), (16.0,), (32.0,), (64.0,), (128.0,)), "proposals_after_nms": 50},
        "roi": {"head_hidden": (32,), "samples_per_image": 64, "score_floor": 0.0},
    }
    merged = {name: {**numbers.get(name, {}), **sections.get(name, {})} for name in numbers}
    return Config(
        image=ImageConfig(**merged["image"]),
        backbone=BackboneConfig(**merged["backbone"]),
        rpn=RpnConfig(**merged["rpn"]),
        roi=RoiConfig(**merged["roi"]),
    )


TINY_BODIES = {"resnet50": "test_resnet", "vgg16": "vgg11"}
"""For a body of a preset a smaller one of its kind; the others are small themselves."""


def tiny_preset(name: str) -> Config:
    """A preset with all its choices, at 64 to 96 pixels, on a smaller body of its kind, with few channels after it."""
    config = preset(name)
    backbone, rpn, roi = config.backbone, config.rpn, config.roi
    changes: dict[str, dict[str, Any]] = {
        "image": {"short_side": 64, "long_side": 96},
        "backbone": {"body": TINY_BODIES.get(backbone.body, backbone.body), "pyramid_channels": 16},
        "rpn": {"head_channels": min(rpn.head_channels, 16), "proposals_after_nms": 20},
        "roi": {"head_hidden": (32,) * len(roi.head_hidden), "head_convs": (16,) * len(roi.head_convs)},
    }
    sections = {section: getattr(config, section).model_copy(update=change) for section, change in changes.items()}
    return config.model_copy(update=sections)


def tiny_and_full(*names: str) -> list[ParameterSet]:
    """Settings for ``pytest.mark.parametrize``: each preset tiny, and as it is for ``make soak``."""
    tiny = [pytest.param(tiny_preset(name), id=f"tiny {name}") for name in names]
    return [*tiny, *(pytest.param(preset(name), id=name, marks=pytest.mark.soak) for name in names)]


def tiny_model(num_classes: int = 3, **sections: dict[str, Any]) -> FasterRCNN:
    """The detector of ``tiny_config`` with random weights, in training mode; always the same weights."""
    torch.manual_seed(0)
    return build_model(tiny_config(**sections), num_classes)


def random_image(height: int, width: int, seed: int = 0) -> Tensor:
    """An 8-bit image of noise."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator)


def truth_of(
    boxes: Sequence[Sequence[float]], labels: Sequence[int] | None = None, ignored: Sequence[bool] | None = None
) -> GroundTruth:
    """Truths from rows of numbers; all of class 0 and none ignored unless said."""
    return GroundTruth(
        boxes_of(boxes),
        torch.tensor([0] * len(boxes) if labels is None else labels, dtype=torch.int64),
        torch.tensor([False] * len(boxes) if ignored is None else ignored, dtype=torch.bool),
    )


def training_batch(
    images: Sequence[Tensor],
    truths: Sequence[GroundTruth],
    seeds: Sequence[int],
    proposals: Sequence[Proposals] | None = None,
) -> TrainingBatch:
    """A batch from lists."""
    return TrainingBatch(tuple(images), tuple(truths), tuple(seeds), None if proposals is None else tuple(proposals))


def boxes_of(rows: Sequence[Sequence[float]]) -> Tensor:
    """Boxes (N, 4) from rows of numbers, none included."""
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)


def anchors_of(*levels: Sequence[Sequence[float]]) -> Anchors:
    """Anchors from rows of numbers for each level."""
    return Anchors(boxes_of([row for level in levels for row in level]), tuple(len(level) for level in levels))


def assert_equal_detections(found: Detections, expected: Detections) -> None:
    """Equal to 1e-5, as much as another order of addition may change."""
    assert_close(found.boxes, expected.boxes, rtol=1e-5, atol=1e-4)
    assert_close(found.scores, expected.scores, rtol=1e-5, atol=1e-5)
    assert torch.equal(found.labels, expected.labels)


def integer_boxes(least: int = 0, most: int = 8, side: int = 12) -> st.SearchStrategy[Tensor]:
    """Boxes whose corners are whole pixels, at least one pixel wide and high."""
    corner, length = st.integers(0, side), st.integers(1, side)
    box = st.tuples(corner, corner, length, length).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
    return st.lists(box, min_size=least, max_size=most).map(boxes_of)


def decided_model(num_classes: int = 3, **sections: dict[str, Any]) -> FasterRCNN:
    """The tiny model with heads so loud that scores differ widely and boxes move, in the mode of inference.

    The heads of a new model give nearly equal scores, whose order would hang on the last digit.
    """
    model = tiny_model(num_classes, **sections)
    with torch.no_grad():
        for layer, factor in (
            (model.rpn.head.objectness, 30.0),
            (model.rpn.head.deltas, 5.0),
            (model.roi.classes, 30.0),
            (model.roi.deltas, 100.0),
        ):
            layer.weight.mul_(factor)
    return model.eval()


def with_statistics(model: FasterRCNN) -> FasterRCNN:
    """Batch norms that do something, and everything in the mode of inference."""
    generator = torch.Generator().manual_seed(0)
    for norm in norms(model):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.uniform_(-0.2, 0.2, generator=generator)
        norm.running_var.uniform_(0.5, 1.5, generator=generator)
        nn.init.uniform_(norm.weight, 0.5, 1.5, generator=generator)
        nn.init.uniform_(norm.bias, -0.2, 0.2, generator=generator)
    return model.eval()


def config_of_body(name: str, levels: tuple[int, ...] = (1, 2, 3, 4)) -> Config:
    """The tiny detector on another body."""
    return tiny_config(backbone={"body": name, "levels": levels})


def gathered(
    features: Tensor, regions: Tensor, *, stride: int, side: int, sampling_ratio: int, aligned: bool = False
) -> Tensor:
    """RoI align by gathering from one level, called as ``ops.roi_pool.roi_align`` is."""
    levels = torch.zeros(len(regions), dtype=torch.int64)
    return gather_roi_align(
        [features], regions, levels, strides=(stride,), side=side, sampling_ratio=sampling_ratio, aligned=aligned
    )
