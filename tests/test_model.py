"""The whole detector: its losses, its detections, where gradients go, and which numbers reach which part."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from faster_rcnn.building import build_model
from faster_rcnn.errors import OptionError
from faster_rcnn.images import rescale_truth, resize, size_of
from faster_rcnn.losses import Losses
from faster_rcnn.model import FasterRCNN
from faster_rcnn.structures import GroundTruth
from tiny import assert_equal_detections, decided_model, random_image, tiny_config, tiny_model, training_batch, truth_of

IMAGES = [random_image(64, 96, 1), random_image(96, 64, 2)]
TRUTHS = [truth_of([[4, 4, 40, 50], [50, 10, 90, 60]], labels=[0, 2]), truth_of([[10, 20, 60, 90]], labels=[1])]
NO_OBJECTS = [truth_of([]), truth_of([])]
VARIANTS: list[dict[str, dict[str, Any]]] = [
    {},
    {"rpn": {"objectness": "softmax"}},
    {"rpn": {"anchor_stride": "fitted", "anchor_rounding": False, "head_convs": 2}},
    {"roi": {"pooling": "pool"}},
    {"roi": {"head_convs": (8, 8), "head_hidden": (16,)}, "backbone": {"pyramid_norm": True, "norm": "batch"}},
    {"backbone": {"levels": (3,)}, "rpn": {"anchor_sizes": ((16.0, 32.0), (32.0, 64.0))}},
    {
        "backbone": {"body": "torchvision:mobilenet_v3_large", "levels": (4, 5)},
        "rpn": {"anchor_sizes": ((16.0, 64.0),) * 3},
        "image": {"resize": "plain"},
    },
]


def named_gradients(model: FasterRCNN, losses: Losses) -> dict[str, torch.Tensor]:
    model.zero_grad()
    losses.total.backward()
    return {name: each.grad for name, each in model.named_parameters() if each.grad is not None}


@pytest.mark.parametrize("sections", VARIANTS)
def test_every_variant_trains_and_detects(sections: dict[str, dict[str, Any]]) -> None:
    model = tiny_model(3, **sections)
    losses = model(training_batch(IMAGES, TRUTHS, [1, 2]))
    assert list(losses.named()) == ["rpn_objectness", "rpn_box", "roi_class", "roi_box"]
    assert_close(losses.total, torch.stack(list(losses.named().values())).sum())
    gradients = named_gradients(model, losses)
    trained = {name for name, each in model.named_parameters() if each.requires_grad}
    assert gradients.keys() == trained
    assert all(bool(torch.isfinite(each).all()) for each in gradients.values())
    for found, image in zip(model.detect(IMAGES), IMAGES, strict=True):
        assert len(found) > 0
        height, width = image.shape[1:]
        assert bool((found.boxes >= 0).all())
        assert bool((found.boxes <= torch.tensor([width, height, width, height])).all())
        assert bool((found.scores.diff() <= 0).all())
        assert set(found.labels.tolist()) <= {0, 1, 2}


@pytest.mark.parametrize("sections", VARIANTS[:5])
def test_images_without_objects_train_the_same_parameters(sections: dict[str, dict[str, Any]]) -> None:
    model = tiny_model(3, **sections)
    with_objects = named_gradients(model, model(training_batch(IMAGES, TRUTHS, [1, 2])))
    losses = model(training_batch(IMAGES, NO_OBJECTS, [1, 2]))
    without = named_gradients(model, losses)
    assert without.keys() == with_objects.keys()
    assert all(bool(torch.isfinite(each).all()) for each in without.values())
    assert (float(losses.rpn_box.mean.detach()), float(losses.roi_box.mean.detach())) == (0.0, 0.0)
    assert float(losses.roi_class.mean.detach()) > 0


def test_a_batch_may_mix_images_with_and_without_objects() -> None:
    model = tiny_model()
    gradients = named_gradients(model, model(training_batch(IMAGES, [TRUTHS[0], NO_OBJECTS[1]], [1, 2])))
    assert all(bool(torch.isfinite(each).all()) for each in gradients.values())


def test_the_losses_of_the_second_stage_do_not_reach_the_first() -> None:
    model = tiny_model()
    losses = model(training_batch(IMAGES, TRUTHS, [1, 2]))
    (losses.roi_class.mean + losses.roi_box.mean).backward()
    assert all(each.grad is None for each in model.rpn.parameters())
    assert any(each.grad is not None for each in model.backbone.parameters())


def test_losses_are_a_function_of_the_seeds() -> None:
    model = tiny_model(rpn={"samples_per_image": 16}, roi={"samples_per_image": 8})
    first, again, other = (
        model(training_batch(IMAGES, TRUTHS, seeds)).total.detach() for seeds in ([1, 2], [1, 2], [3, 4])
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_training_reduces_the_losses() -> None:
    model = tiny_model()
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=0.02, momentum=0.9)
    totals = []
    for _ in range(12):
        losses = model(training_batch(IMAGES, TRUTHS, [1, 2]))
        named_gradients(model, losses)
        optimizer.step()
        totals.append(float(losses.total.detach()))
    assert totals[-1] < 0.7 * totals[0], totals


def test_detections_of_a_batch_are_those_of_each_image_alone() -> None:
    model = decided_model()
    # Two of one shape, one portrait, one of another size, one that is resized to the shape of the first two.
    shapes = [(64, 96), (64, 96), (96, 64), (50, 100), (128, 192)]
    images = [random_image(height, width, seed) for seed, (height, width) in enumerate(shapes)]
    together = model.detect(images)
    for image, found in zip(images, together, strict=True):
        assert_equal_detections(found, model.detect([image])[0])
    backwards = model.detect(images[::-1])[::-1]
    for found, expected in zip(backwards, together, strict=True):
        assert_equal_detections(found, expected)


def test_scores_of_the_decided_model_differ() -> None:
    # Without this the test above would compare constants.
    scores = decided_model().detect(IMAGES)[0].scores
    assert float(scores.max() - scores.min()) > 0.3


def test_detections_are_in_the_pixels_of_the_image_given() -> None:
    model = decided_model()
    large = random_image(130, 200)
    found = model.detect([large])[0]
    small = resize(large, 64, 128, "antialias", "down")  # 64 x 98: heights by 64 / 130, widths by 98 / 200
    assert small.shape == (3, 64, 98)
    expected = model.detect([small])[0]
    factors = torch.tensor([200 / 98, 130 / 64, 200 / 98, 130 / 64])
    assert_close(found.boxes, expected.boxes * factors, rtol=1e-5, atol=1e-3)
    assert_close(found.scores, expected.scores)


def test_8_bits_and_float_are_the_same_image() -> None:
    model = decided_model()
    assert_equal_detections(model.detect([IMAGES[0].float() / 255])[0], model.detect([IMAGES[0]])[0])


def test_validate_gives_the_losses_of_forward_and_the_detections_of_detect() -> None:
    # With the numbers of inference in training too, and frozen norm, both passes see the same proposals.
    model = tiny_model(rpn={"proposals_before_nms_training": 1000, "proposals_after_nms_training": 50})
    single = []
    for image, truth, seed in zip(IMAGES, TRUTHS, (1, 2), strict=True):
        losses, _ = model.validate(training_batch([image], [truth], [seed]))
        expected = model(training_batch([model_sized(model, image)], [truth_at_size(model, image, truth)], [seed]))
        single.append(losses.named())
        for name, loss in losses.named().items():
            assert not loss.requires_grad
            assert_close(loss, expected.named()[name].detach())
    losses, found = model.validate(training_batch(IMAGES, TRUTHS, [1, 2]))
    for name, loss in losses.named().items():
        assert_close(loss, (single[0][name] + single[1][name]) / 2)
    for each, expected_detections in zip(found, model.detect(IMAGES), strict=True):
        assert torch.equal(each.boxes, expected_detections.boxes)
        assert torch.equal(each.scores, expected_detections.scores)


def model_sized(model: FasterRCNN, image: Tensor) -> Tensor:
    rule = model.preparation.image
    return resize(image, rule.short_side, rule.long_side, rule.resize, rule.size_rounding)


def truth_at_size(model: FasterRCNN, image: Tensor, truth: GroundTruth) -> GroundTruth:
    return rescale_truth(truth, size_of(image), size_of(model_sized(model, image)))


def test_no_images_give_no_detections() -> None:
    assert tiny_model().detect([]) == []


def test_holes_are_never_detected() -> None:
    torch.manual_seed(0)
    model = build_model(tiny_config(), 3, holes=(0, 2))
    labels = {label for found in model.detect(IMAGES) for label in found.labels.tolist()}
    assert labels == {1}


def test_numbers_reach_the_parts_they_belong_to() -> None:
    model = tiny_model(
        rpn={
            "proposals_before_nms_training": 11,
            "proposals_after_nms_training": 12,
            "proposals_before_nms": 13,
            "proposals_after_nms": 14,
            "nms_iou": 0.61,
            "positive_iou": 0.71,
            "negative_iou": 0.31,
            "positive_fraction": 0.51,
            "min_side": 3.0,
            "score_floor": 0.01,
        },
        roi={"nms_iou": 0.41, "positive_iou": 0.52, "negative_iou": 0.42, "max_detections": 7, "min_side": 2.0},
    )
    training, inference = model.training_filter, model.inference_filter
    assert (training.before_nms, training.after_nms) == (11, 12)
    assert (inference.before_nms, inference.after_nms) == (13, 14)
    assert (inference.nms_iou, inference.min_side, inference.score_floor) == (0.61, 3.0, 0.01)
    anchors, regions = model.rpn.sampling, model.roi.sampling
    assert (anchors.positive_iou, anchors.negative_iou, anchors.positive_fraction) == (0.71, 0.31, 0.51)
    assert (regions.positive_iou, regions.negative_iou, regions.samples) == (0.52, 0.42, 64)
    rule = model.roi.detection_filter
    assert (rule.nms_iou, rule.max_detections, rule.min_side) == (0.41, 7, 2.0)
    # Regions read the levels of the body, not the subsampled one (FPN, section 4.1).
    assert (model.rpn.anchors.strides, model.roi.pooling.strides) == ((4, 8, 16, 32, 64), (4, 8, 16, 32))


@pytest.mark.parametrize(("objectness", "outputs"), [("logit", 3), ("softmax", 6)])
def test_k_or_2k_outputs_of_objectness(objectness: str, outputs: int) -> None:
    # Three shapes at every position; the paper's form has two outputs for each.
    model = tiny_model(3, rpn={"objectness": objectness})
    assert model.rpn.head.objectness.out_channels == outputs


def test_training_counts_its_own_proposals_and_not_those_of_inference() -> None:
    def region_loss(**rpn: int) -> torch.Tensor:
        model = tiny_model(3, rpn=rpn, roi={"samples_per_image": 500})
        loss: torch.Tensor = model(training_batch(IMAGES, TRUTHS, [1, 2])).roi_class.mean
        return loss.detach()

    usual = region_loss(proposals_after_nms_training=40)
    assert torch.equal(region_loss(proposals_after_nms_training=40, proposals_after_nms=3), usual)
    assert not torch.equal(region_loss(proposals_after_nms_training=3), usual)


def test_at_most_so_many_detections_and_proposals() -> None:
    model = tiny_model(rpn={"proposals_after_nms": 5}, roi={"max_detections": 4})
    assert len(model.detect(IMAGES[:1])[0]) == 4
    # 5 proposals of 3 classes give at most 15.
    assert len(tiny_model(rpn={"proposals_after_nms": 5}).detect(IMAGES[:1])[0]) <= 15


@pytest.mark.parametrize("sizes", [((8.0,),) * 4, ((8.0,),) * 4 + ((8.0, 16.0),), ((),) * 5])
def test_anchor_sizes_must_fit_the_levels(sizes: tuple[tuple[float, ...], ...]) -> None:
    with pytest.raises(OptionError, match=r"rpn\.anchor_sizes.*each needs the same number|rpn\.anchor_sizes.*5 levels"):
        tiny_model(rpn={"anchor_sizes": sizes})


def test_ignored_truths_do_not_change_what_other_images_learn() -> None:
    model = tiny_model()
    hidden = GroundTruth(TRUTHS[0].boxes, TRUTHS[0].labels, torch.ones(2, dtype=torch.bool))
    losses = model(training_batch(IMAGES[:1], [hidden], [1]))
    assert (float(losses.rpn_box.mean.detach()), float(losses.roi_box.mean.detach())) == (0.0, 0.0)
    assert bool(torch.isfinite(losses.total.detach()))
