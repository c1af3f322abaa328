"""Faults that were found in other detectors, each as a test of ours; numbers are those of the list they came from.

Number 15, and half of 7, are about values and stand in ``test_structures.py``.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import math
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from faster_rcnn.backbone.norm import norms
from faster_rcnn.images import target_size
from faster_rcnn.ops.assignment import match
from faster_rcnn.ops.boxes import clip
from faster_rcnn.ops.deltas import decode, encode
from faster_rcnn.ops.losses import BoxLoss, box_loss, objectness_loss
from faster_rcnn.ops.nms import nms_per_group
from faster_rcnn.rpn.anchors import base_anchors, grid_of_anchors
from faster_rcnn.rpn.proposals import ProposalFilter, select_proposals
from faster_rcnn.rpn.targets import AnchorSampling, rpn_targets
from faster_rcnn.settings.presets import PRESETS, preset
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ImageSize
from tiny import (
    anchors_of,
    assert_equal_detections,
    boxes_of,
    decided_model,
    random_image,
    tiny_config,
    tiny_model,
    training_batch,
    truth_of,
)

ROOT = Path(__file__).parents[1]
SIZE = ImageSize(50, 50)
RULE = ProposalFilter(before_nms=2000, after_nms=2000, nms_iou=0.7, min_side=0.001, score_floor=0.0)
IMAGES = [random_image(64, 96, 1), random_image(96, 64, 2)]
TRUTHS = [truth_of([[4, 4, 40, 50]], labels=[2]), truth_of([[10, 20, 60, 90]], labels=[1])]


def test_trap_01_a_truth_that_no_anchor_overlaps_makes_no_anchor_positive() -> None:
    # Its best overlap is 0, and so is every other anchor's: "equal to the best" would be true of all.
    truth = truth_of([[500, 500, 510, 510], [0, 0, 10, 10]])
    references = boxes_of([[0, 0, 10, 9], [30, 0, 40, 10], [60, 0, 70, 10]])
    found = match(references, truth, positive_iou=0.7, negative_iou=0.3, best_of_truth=True)
    assert found.positive.tolist() == [True, False, False]
    assert found.negative.tolist() == [False, True, True]


@pytest.mark.parametrize("pixels", [33, 40])
def test_trap_02_nothing_is_learnt_from_the_first_batch(pixels: int) -> None:
    # 33 and 40 pixels are padded to 64, where scales taken from the shapes would be wrong by two.
    used, fresh = (decided_model(3, image={"short_side": pixels, "long_side": pixels}) for _ in range(2))
    used.detect([random_image(pixels, pixels)])
    settings = replace(fresh.preparation, image=tiny_config().image)
    used.preparation = fresh.preparation = settings
    for found, expected in zip(used.detect(IMAGES), fresh.detect(IMAGES), strict=True):
        assert_equal_detections(found, expected)
    assert used.backbone.strides == used.rpn.anchors.strides == (4, 8, 16, 32, 64)
    assert used.roi.pooling.strides == (4, 8, 16, 32)


def test_trap_03_box_arithmetic_is_float32_under_half_precision() -> None:
    # bfloat16 has 8 bits of mantissa: 1003 would become 1004.
    half = torch.tensor([[0.1, -0.2, 0.3, -0.4]], dtype=torch.bfloat16)
    box = boxes_of([[1001, 1003, 1101, 1103]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(decode(half * 0, box), box)
        assert torch.equal(decode(half, box), decode(half.float(), box))
        assert decode(half, box).dtype == encode(box, box).dtype == torch.float32
        yes = torch.tensor([True])
        assert objectness_loss(half[:, :1], yes, yes).mean.dtype == torch.float32
        assert box_loss(half, half.float(), half.float(), yes, yes, BoxLoss(beta=1.0)).mean.dtype == torch.float32
        model = decided_model(3)
        for found in model.detect(IMAGES):
            assert (found.boxes.dtype, found.scores.dtype) == (torch.float32, torch.float32)
            assert bool(torch.isfinite(found.boxes).all())
            # Boxes of bfloat16 would all be multiples of 1/4 beyond 32 pixels.
            assert bool((found.boxes % 0.25 != 0).any())
        losses = model.train()(training_batch(IMAGES, TRUTHS, [1, 2]))
    assert {loss.dtype for loss in losses.named().values()} == {torch.float32}


def test_trap_03_many_classes_and_large_images_cost_no_fractions() -> None:
    # Boxes 0.1 wide around 20000 pixels, in class 1000, beside one of class 0 at the origin: the class is moved by
    # 1000 * 20005, where float32 has steps of 2 and all eight would be one.
    boxes = boxes_of([[x, x, x + 0.1, x + 0.1] for x in [0, *(20000 + 0.5 * index for index in range(8))]])
    kept = nms_per_group(boxes, torch.arange(9.0).flip(0), torch.tensor([0] + [1000] * 8), 0.5)
    assert kept.tolist() == list(range(9))


def test_trap_04_height_comes_before_width() -> None:
    assert ImageSize._fields == ("height", "width")
    assert target_size(ImageSize(height=100, width=200), 50, 1000, "down") == ImageSize(height=50, width=100)
    assert_close(clip(boxes_of([[0, 0, 999, 999]]), ImageSize(height=3, width=7)), boxes_of([[0, 0, 7, 3]]))
    found = decided_model(3).detect([random_image(40, 120)])[0]
    x2, y2 = found.boxes[:, 2], found.boxes[:, 3]
    assert 40 < float(x2.max()) <= 120
    assert float(y2.max()) <= 40


def test_trap_05_the_aspect_ratio_is_height_over_width() -> None:
    x1, y1, x2, y2 = base_anchors([100.0], [4.0], rounding=False)[0].tolist()
    assert_close((y2 - y1) / (x2 - x1), 4.0)
    assert "anchor_heights_over_widths" in type(Config().rpn).model_fields


def test_trap_06_no_plus_one_no_half_pixel_and_anchors_begin_at_the_corner() -> None:
    anchors = grid_of_anchors(boxes_of([[-4, -4, 4, 4]]), ImageSize(1, 2), (8.0, 8.0))
    assert_close(anchors, boxes_of([[-4, -4, 4, 4], [4, -4, 12, 4]]))
    # Width 8, not 9: a box of twice the width is log 2 away.
    assert_close(encode(boxes_of([[-8, -4, 8, 4]]), anchors[:1]), torch.tensor([[0.0, 0.0, math.log(2), 0.0]]))


def test_trap_07_the_first_stage_stays_on_the_device_of_its_input() -> None:
    # The meta device refuses to meet a tensor of the CPU, and computes nothing: what runs here runs on a GPU.
    model = tiny_model(3).to("meta")
    batch = model.preparation.batch([torch.zeros(3, 64, 96, device="meta")] * 2)
    features = model.backbone(batch.pixels)
    output, anchors = model.rpn(features), model.rpn.anchors(features, batch)
    truths = [truth.to("meta") for truth in (*TRUTHS[:1], truth_of([]))]
    losses = model.rpn.losses(features, anchors, batch.sizes, truths, [1, 2])
    devices = {each.device.type for each in (batch.pixels, *features, anchors.boxes, output.logits, losses.box.mean)}
    assert devices == {"meta"}


def test_trap_08_detection_leaves_the_mode_as_it_found_it() -> None:
    model = tiny_model(3, backbone={"norm": "batch"}, roi={"head_convs": (8,)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for mode in (True, False, True):
        model.train(mode)
        model.rpn.eval()  # a part may have a mode of its own
        before = {name: layer.training for name, layer in model.named_modules()}
        state = {name: value.clone() for name, value in model.state_dict().items()}
        model.detect(IMAGES)
        model.validate(training_batch(IMAGES, TRUTHS, [1, 2]))
        assert {name: layer.training for name, layer in model.named_modules()} == before
        # Batch norm in training mode would have counted the images.
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
        model(training_batch(IMAGES, TRUTHS, [1, 2])).total.backward()
        optimizer.step()


def test_trap_08_the_mode_is_restored_after_an_error() -> None:
    model = tiny_model(3, backbone={"norm": "batch"})
    model.rpn.head.objectness = nn.Conv2d(1, 1, 1)
    with pytest.raises(RuntimeError):
        model.detect(IMAGES)
    assert all(layer.training for layer in model.modules())


def test_trap_09_undefined_names_and_blind_excepts_are_lint_errors() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    exceptions = [rule for rules in settings.get("per-file-ignores", {}).values() for rule in rules]
    for rule in ("E722", "F821", "BLE001"):
        assert any(rule.startswith(selected) for selected in settings["select"]), rule
        assert not any(rule.startswith(ignored) for ignored in (*settings["ignore"], *exceptions)), rule


def test_trap_10_no_test_uses_the_comparison_that_can_be_forgotten() -> None:
    # `torch.allclose(a, b)` on a line of its own tests nothing; assert_close cannot be forgotten.
    users = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr == "allclose")
        or (isinstance(node, ast.alias) and node.name.endswith("allclose"))
    ]
    assert users == []


def test_trap_11_the_examples_of_the_docstrings_run() -> None:
    for name in ("ops.boxes", "ops.deltas", "rpn.anchors", "roi.pooling"):
        result = doctest.testmod(importlib.import_module(f"faster_rcnn.{name}"))
        assert result.attempted > 0, name
        assert result.failed == 0, name


def test_trap_12_losses_are_divided_by_the_number_of_sampled_references() -> None:
    # Four places, three used, two positive, one delta of each positive wrong by 2 (smooth L1: 1.5).
    used, positive = torch.tensor([True, True, True, False]), torch.tensor([True, True, False, False])
    wrong = torch.tensor([[2.0, 0, 0, 0]] * 4)
    # By the used: 3 / 3. By the positives it were 1.5, by the places 0.75, by the deltas 0.25.
    assert_close(
        box_loss(wrong, torch.zeros(4, 4), torch.zeros(4, 4), positive, used, BoxLoss(beta=1.0)).mean, torch.tensor(1.0)
    )
    assert_close(objectness_loss(torch.zeros(4, 1), positive, used).mean, torch.tensor(math.log(2)))


def test_trap_13_more_is_asked_for_than_there_is() -> None:
    level = [[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]]
    proposals = select_proposals(torch.zeros(3, 1), torch.zeros(3, 4), anchors_of(level, level[:1]), SIZE, RULE)
    assert len(proposals.boxes) == 3
    targets = rpn_targets(anchors_of(level), truth_of([]), AnchorSampling(0.7, 0.3, 256, 0.5), seed=0)
    assert len(targets.indices) == 2


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 7), (31, 31), (33, 33), (1, 400), (400, 1), (2, 3)])
def test_trap_13_images_of_a_pixel_or_a_line(height: int, width: int) -> None:
    image = random_image(height, width)
    found = decided_model(3).detect([image])[0]
    assert bool(torch.isfinite(found.boxes).all() & torch.isfinite(found.scores).all())
    assert bool((found.boxes[:, 2:] <= torch.tensor([width, height]) * (1 + 1e-6)).all())
    losses = tiny_model(3)(training_batch([image], [truth_of([[0, 0, width, height]])], [1]))
    assert bool(torch.isfinite(losses.total.detach()))


def test_trap_14_proposals_do_not_depend_on_the_batch() -> None:
    model = decided_model(3, rpn={"proposals_before_nms": 20, "proposals_after_nms": 10})
    images = [random_image(64, 96, seed) for seed in range(3)]
    for image, found in zip(images, model.detect(images), strict=True):
        assert_equal_detections(found, model.detect([image])[0])


@pytest.mark.parametrize("name", PRESETS)
def test_trap_16_the_epsilon_of_the_body_is_the_one_of_the_settings(name: str) -> None:
    config = Config.model_validate_json(preset(name).model_dump_json())
    assert config.backbone.norm_epsilon == dict.fromkeys(("small", "small-plus", "fast"), 1e-3).get(name, 1e-5)
    model = tiny_model(3, backbone={"norm_epsilon": config.backbone.norm_epsilon})
    assert {layer.eps for layer in norms(model.backbone.body)} == {config.backbone.norm_epsilon}


def test_trap_16_an_epsilon_of_zero_is_kept() -> None:
    # torchvision's published ResNet-50 has 0, which must not be read as "not given".
    body = tiny_model(3, backbone={"norm_epsilon": 0.0}).backbone.body
    assert {layer.eps for layer in norms(body)} == {0.0}


def test_trap_17_no_gradient_flows_through_proposals() -> None:
    model = tiny_model(3)
    batch = model.preparation.batch([IMAGES[0]])
    features = model.backbone(batch.pixels)
    output, anchors = model.rpn(features), model.rpn.anchors(features, batch)
    assert output.deltas.requires_grad
    proposals = model.rpn.propose(features, anchors, batch.sizes, model.training_filter)
    assert not proposals[0].boxes.requires_grad
    assert not proposals[0].scores.requires_grad


def test_trap_17_selecting_proposals_by_itself_cuts_the_gradient_too() -> None:
    deltas = torch.zeros(1, 4, requires_grad=True)
    logits = torch.zeros(1, 1, requires_grad=True)
    found = select_proposals(logits, deltas, anchors_of([[0, 0, 10, 10]]), SIZE, RULE)
    assert not found.boxes.requires_grad
    assert not found.scores.requires_grad
