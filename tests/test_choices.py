"""Every choice of the settings trains, is saved and loaded, and predicts: a small detector, 20 steps each."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from faster_rcnn.building import build_model
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap, GroundTruth, Proposals
from faster_rcnn.training.optimizer import build_optimizer
from faster_rcnn.training.step import training_step
from faster_rcnn.weights.model_file import load_model, save_model
from tiny import assert_equal_detections, tiny_config, training_batch, truth_of

SIDE = 160
CLASSES = ClassMap(("dark", "light"), (1, 2))
SQUARES = (([20, 30, 70, 80], 0), ([90, 60, 140, 130], 1), ([30, 100, 70, 140], 1))

ONE_LEVEL = {"neck": "none", "levels": (2,)}
ONE_LEVEL_OF_ANCHORS = {"anchor_sizes": ((24.0, 48.0, 96.0),)}
CHOICES: dict[str, dict[str, dict[str, Any]]] = {
    "as it is": {},
    "levels without anchors and convolution": {
        "backbone": {"pyramid_plain": 1},
        "rpn": {"anchor_sizes": ((), (16, 32), (32, 64), (64, 128), (96, 192))},
    },
    "two-way softmax": {"rpn": {"objectness": "softmax"}},
    "RoI aligned align": {"roi": {"pooling": "aligned-align"}},
    "RoI pool": {"roi": {"pooling": "pool"}},
    "adaptive sampling": {"roi": {"pooling": "aligned-align", "sampling_ratio": 0}},
    "class-agnostic": {"roi": {"class_agnostic": True}},
    "L1": {"rpn": {"box_loss": "l1"}, "roi": {"box_loss": "l1"}},
    "GIoU": {"rpn": {"box_loss": "giou"}, "roi": {"box_loss": "giou"}},
    "CIoU": {"rpn": {"box_loss": "ciou"}, "roi": {"box_loss": "ciou"}},
    "smooth L1 of beta 1": {"rpn": {"box_loss_beta": 1.0}, "roi": {"box_loss_beta": 1.0}},
    "two sizes, four ratios": {
        "rpn": {
            "anchor_sizes": ((7, 11), (17, 23), (31, 47), (60, 90), (110, 150)),
            "anchor_heights_over_widths": (0.3, 0.8, 1.0, 3.0),
        }
    },
    "ratios of each level": {"rpn": {"anchor_heights_over_widths": ((1.0,), (0.5,), (2.0,), (0.7,), (1.5,))}},
    "anchors in the middle": {"rpn": {"anchor_offset": 0.5, "anchor_rounding": False}},
    "few proposals": {
        "rpn": {
            "proposals_before_nms_training": 50,
            "proposals_after_nms_training": 20,
            "proposals_before_nms": 30,
            "proposals_after_nms": 10,
        }
    },
    "few regions, many positive": {
        "rpn": {"samples_per_image": 64, "positive_fraction": 0.25},
        "roi": {"samples_per_image": 32, "positive_fraction": 0.75},
    },
    "wider head": {"rpn": {"head_channels": 24}},
    "crossing anchors ignored": {"rpn": {"crossing_anchors": "ignore"}},
    "the paper's normaliser": {"rpn": {"box_loss_normaliser": "positions", "box_loss_weight": 10.0}},
    "background from 0.1": {"roi": {"negative_iou_from": 0.1}},
    "dropout": {"roi": {"dropout": 0.3}},
    "as in the paper": {
        "backbone": ONE_LEVEL,
        "rpn": {
            **ONE_LEVEL_OF_ANCHORS,
            "anchor_offset": 0.5,
            "anchor_rounding": False,
            "objectness": "softmax",
            "crossing_anchors": "ignore",
            "box_loss_normaliser": "positions",
            "box_loss_weight": 10.0,
        },
        "roi": {"pooling": "pool", "head_hidden": (32, 32), "dropout": 0.5, "negative_iou_from": 0.1},
    },
    "one level": {"backbone": ONE_LEVEL, "rpn": ONE_LEVEL_OF_ANCHORS},
    "last stage on regions": {
        "backbone": ONE_LEVEL,
        "rpn": ONE_LEVEL_OF_ANCHORS,
        "roi": {"head": "last_stage", "pooled_side": 6},
    },
    "no padding": {"backbone": ONE_LEVEL, "rpn": ONE_LEVEL_OF_ANCHORS, "image": {"multiple_of": 1}},
    "sides to the nearest pixel": {"image": {"size_rounding": "nearest"}},
    "Fast R-CNN": {"detector": {"kind": "fast-rcnn"}},
    "RPN alone": {"detector": {"kind": "rpn"}},
}


def pictures() -> tuple[list[Tensor], list[GroundTruth]]:
    """Two images of grey noise with a dark and two light squares, mirrored in the second."""
    pixels = torch.randint(100, 140, (3, SIDE, SIDE), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    for (x1, y1, x2, y2), label in SQUARES:
        pixels[:, y1:y2, x1:x2] = 250 if label else 5
    boxes, labels = [box for box, _ in SQUARES], [label for _, label in SQUARES]
    mirrored = [[SIDE - x2, y1, SIDE - x1, y2] for x1, y1, x2, y2 in boxes]
    return [pixels, pixels.flip(-1)], [truth_of(boxes, labels), truth_of(mirrored, labels)]


def around(truth: GroundTruth) -> Proposals:
    """Proposals from outside: the truths, moved a little, and boxes of nothing."""
    nothing = torch.tensor([[0.0, 0.0, 30.0, 25.0], [100.0, 5.0, 150.0, 40.0], [0.0, 0.0, 160.0, 160.0]])
    boxes = torch.cat([truth.boxes + shift for shift in (-4.0, 0.0, 5.0)] + [nothing]).clamp(0, SIDE)
    return Proposals(boxes, torch.linspace(1, 0.1, len(boxes)))


def config_of(choice: str) -> Config:
    sections = {name: dict(values) for name, values in CHOICES[choice].items()}
    image = {"short_side": SIDE, "long_side": SIDE, **sections.pop("image", {})}
    config = tiny_config(image=image, **sections)
    detector = config.detector.model_copy(update=sections.get("detector", {}))
    return config.model_copy(update={"detector": detector})


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_trains_is_saved_and_predicts(choice: str, tmp_path: Path) -> None:
    config = config_of(choice)
    torch.manual_seed(0)
    classes = ClassMap(("object",), (1,)) if config.detector.kind == "rpn" else CLASSES
    images, truths = pictures()
    if config.detector.kind == "rpn":
        truths = [GroundTruth(each.boxes, torch.zeros_like(each.labels), each.ignored) for each in truths]
    proposals = [around(each) for each in truths] if config.detector.kind == "fast-rcnn" else None
    model = build_model(config, len(classes))
    optimizer = build_optimizer(model, lr=0.01, momentum=0.9, weight_decay=1e-4)
    totals = []
    for step in range(20):
        losses = training_step(
            model.train(),
            optimizer,
            training_batch(images, truths, [step, step + 100], proposals),
            lr=0.01,
            clip_norm=1.0,
            precision=torch.float32,
        )
        totals.append(losses.total)
    assert statistics.mean(totals[-5:]) < statistics.mean(totals[:5])
    path = tmp_path / "model.safetensors"
    save_model(path, model, config, classes)
    found = model.detect(images, proposals)
    again = load_model(path).model.detect(images, proposals)
    assert any(len(each) for each in found)
    for one, other in zip(found, again, strict=True):
        assert_equal_detections(other, one)
